//! `resources` of a `[[load]]`, and the limits that need it.

use std::ops::Range;

use crate::check::beside;
use crate::check::suite::Reading;
use crate::file::values::{OriginProcessFile, ResourcesFile};
use crate::file::{At, LoadFile};
use crate::suite::OriginProcess;

impl Reading<'_> {
    /// Blue's process, then green's.
    pub(super) fn resources(&mut self, file: &LoadFile) -> Option<[OriginProcess; 2]> {
        let Some(at) = &file.resources else {
            self.unmeasured(file);
            return None;
        };
        if !cfg!(target_os = "linux") {
            let message = "`resources` can be measured on Linux only";
            let hint = Some("remove it, and the limits of cpu and memory".to_owned());
            self.source.problem(at.span.clone(), message, hint);
        }
        let ResourcesFile::Sides(sides) = &at.value else {
            return Some([OriginProcess::Port, OriginProcess::Port]);
        };
        let (blue, green) = (self.origin_process(&sides.blue), self.origin_process(&sides.green));
        if blue == green && blue != OriginProcess::Port {
            let message = "`resources` names the same process for blue and green";
            let hint = Some("give each side its own, or leave out a side whose process listens on its port".to_owned());
            self.source.problem(at.span.clone(), message, hint);
        }
        Some([blue, green])
    }

    fn unmeasured(&mut self, file: &LoadFile) {
        let Some(limits) = &file.limits else { return };
        let span = |span: &Range<usize>| span.clone();
        let cpu = limits.value.cpu.as_ref().map(|at| ("cpu", span(&at.span)));
        let memory = limits.value.memory.as_ref().map(|at| ("memory", span(&at.span)));
        for (key, span) in cpu.into_iter().chain(memory) {
            let hint = Some("write resources = \"port\" in this [[load]]".to_owned());
            self.source.problem(span, format!("a limit of `{key}` needs `resources`"), hint);
        }
    }

    fn origin_process(&mut self, typed: &Option<At<OriginProcessFile>>) -> OriginProcess {
        let Some(At { value: OriginProcessFile::Named(named), span }) = typed else { return OriginProcess::Port };
        match (&named.pid, &named.pid_file) {
            (Some(pid), None) => OriginProcess::Pid(u32::try_from(pid.value.0).unwrap_or(u32::MAX)),
            (None, Some(path)) => OriginProcess::PidFile(beside(self.source, &path.value)),
            _ => {
                let hint = Some("write { pid = 1234 } or { pid_file = \"green.pid\" }".to_owned());
                self.source.problem(span.clone(), "a process needs one of `pid` and `pid_file`", hint);
                OriginProcess::Port
            }
        }
    }
}
