//! Certificates from a CA: what the listeners and its client share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use acme::{AcmeParts, AcmeThread, CertificateKeeper};
use anyhow::Context;
use config::MainConfig;
use memory::counters::Counters;
use memory::snapshot::SnapshotReader;
use relay::proxy::acme_board::{AcmeBoard, ChallengeAnswers};
use relay::proxy::tls::{IssuedCertificates, without_file};
use sidecar::SidecarHandle;
use tokio::sync::watch;

/// The client of a CA, before it starts.
pub struct PreparedAcme {
    keeper: CertificateKeeper,
    board: Arc<AcmeBoard>,
    folder: PathBuf,
    changed: watch::Receiver<u64>,
}

impl PreparedAcme {
    /// `None` if the file has no `[acme]`.
    pub fn open(
        settings: &MainConfig,
        (published, counters, sidecar): (&SnapshotReader, &Arc<Counters>, &SidecarHandle),
    ) -> anyhow::Result<Option<PreparedAcme>> {
        let Some(acme) = &settings.acme else { return Ok(None) };
        let (board, asked) = AcmeBoard::new(acme.on_demand.clone());
        let (board, (issued, changed)) = (Arc::new(board), watch::channel(0));
        let listeners: Vec<_> = settings.tls.iter().filter(|listener| listener.acme).cloned().collect();
        let to_order = move |names: Vec<String>| {
            let lacking: BTreeSet<String> =
                listeners.iter().flat_map(|listener| without_file(listener, names.clone())).collect();
            lacking.into_iter().collect()
        };
        let keeper = CertificateKeeper::open(AcmeParts {
            settings: acme.clone(),
            board: board.clone(),
            asked,
            issued,
            published: published.clone(),
            to_order: Box::new(to_order),
            sidecar: sidecar.clone(),
            counters: counters.clone(),
        });
        let keeper = keeper.map_err(anyhow::Error::msg)?;
        Ok(Some(PreparedAcme { keeper, board, folder: acme.folder.clone(), changed }))
    }

    /// For a listener with certificates of the CA.
    pub fn for_listener(&self) -> (Arc<AcmeBoard>, IssuedCertificates) {
        (self.board.clone(), IssuedCertificates { folder: self.folder.clone(), changed: self.changed.clone() })
    }

    /// Orders what is missing from now on: the listeners must be there to answer.
    pub fn start(self) -> anyhow::Result<AcmeThread> {
        self.keeper.start().context("cannot start the client of the CA")
    }
}

/// What a CA may ask for; `None` if no CA is expected to ask.
pub fn challenges(settings: &MainConfig, acme: Option<&PreparedAcme>) -> Option<ChallengeAnswers> {
    let (board, folder) = (acme.map(|acme| acme.board.clone()), settings.acme_challenges.clone());
    (board.is_some() || folder.is_some()).then_some(ChallengeAnswers { board, folder })
}
