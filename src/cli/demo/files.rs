//! The demo's files: what a user would write, in their own folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::demo::origins::DemoOrigin;
use crate::cli::demo::shop::{self, Fault, Shop};
use config::{self, MainConfig};

/// The built-in suites and what they need: file names and contents.
const SUITES: [(&str, &str); 6] = [
    ("consolidated-functions.toml", include_str!("../../../config/suites/consolidated-functions.toml")),
    ("catalog.schema.json", include_str!("../../../config/suites/catalog.schema.json")),
    ("performance.toml", include_str!("../../../config/suites/performance.toml")),
    ("load.toml", include_str!("../../../config/suites/load.toml")),
    ("feature-parity.toml", include_str!("../../../config/suites/feature-parity.toml")),
    ("data-consistency.toml", include_str!("../../../config/suites/data-consistency.toml")),
];

/// The folder. If the demo created it, it is deleted with this.
#[derive(Debug)]
pub struct DemoFolder {
    path: PathBuf,
    own: bool,
}

/// The two environments.
pub struct DemoOrigins {
    pub green: DemoOrigin,
    blue_at: SocketAddr,
    green_at: SocketAddr,
}

impl DemoFolder {
    /// Uses the system's temporary folder.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn make() -> anyhow::Result<DemoFolder> {
        let path = std::env::temp_dir().join(format!("cutover-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(DemoFolder { path, own: true })
    }

    /// Uses a folder chosen by the user, which stays.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn at(path: &Path) -> anyhow::Result<DemoFolder> {
        std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(DemoFolder { path: path.to_owned(), own: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts both origins within the current runtime. `faults`: green's.
    ///
    /// # Errors
    /// There is no free port, or no room for their databases.
    pub async fn origins(&self, faults: &[Fault]) -> anyhow::Result<DemoOrigins> {
        let blue = Shop::open(&shop::file(&self.path, "blue"), &[])?;
        let green = Shop::open(&shop::file(&self.path, "green"), faults)?;
        let (_, blue_at) = DemoOrigin::start("blue", blue).await?;
        let (green, green_at) = DemoOrigin::start("green", green).await?;
        Ok(DemoOrigins { green, blue_at, green_at })
    }

    /// Writes the files, and reads them as `run` would.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn lay_out(&self, origins: &DemoOrigins, listen: SocketAddr, admin: SocketAddr) -> anyhow::Result<MainConfig> {
        self.steer(origins, 0.0)?;
        let main = format!(
            "version = 1\nrouting = \"routing.toml\"\nsuites = \"suites\"\n\n[proxy]\nlisten = [\"{listen}\"]\n\
             drain = \"1s\"\ndrain_delay = \"0s\"\n\n[proxy.limits]\n# One machine is all the clients here.\n\
             connections_per_address = 0\n\n[admin]\nlisten = \"{admin}\"\n"
        );
        let suites = self.path.join("suites");
        std::fs::create_dir_all(&suites)?;
        for (name, text) in SUITES {
            let path = suites.join(name);
            // Anyone who has edited a file wants to run it as edited.
            if !path.exists() {
                std::fs::write(path, text)?;
            }
        }
        let path = self.path.join("cutover.toml");
        std::fs::write(&path, main)?;
        Ok(config::load_main(&path)?)
    }

    /// Writes the routing file with this weight.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn steer(&self, origins: &DemoOrigins, weight: f64) -> anyhow::Result<()> {
        let DemoOrigins { blue_at, green_at, .. } = origins;
        let text = format!(
            "[service.demo]\n\n[service.demo.blue]\nurl = \"http://{blue_at}\"\n\n[service.demo.green]\n\
             url = \"http://{green_at}\"\n\n[service.demo.split]\nweight = {weight}\n\n[[service.demo.route]]\n\
             name = \"attempts\"\npath = \"/api/attempts/*\"\n\n[[service.demo.route]]\nname = \"orders\"\n\
             path = \"/api/orders/*\"\n\n# To reach one side: `curl -H 'x-environment: green' …`, and suites with \
             via = \"proxy\".\n[[service.demo.rule]]\nname = \"to blue\"\nheader = {{ name = \"x-environment\", equals = \
             \"blue\" }}\nto = \"blue\"\noverride = true\n\n[[service.demo.rule]]\nname = \"to green\"\nheader = {{ name = \
             \"x-environment\", equals = \"green\" }}\nto = \"green\"\noverride = true\n"
        );
        Ok(std::fs::write(self.path.join("routing.toml"), text)?)
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.own {
            // At worst it is left behind in the system's temporary folder.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
