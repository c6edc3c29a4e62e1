//! Certificates from a CA: what the listeners and its client share, before either is there.

use std::sync::Arc;

use acme::{AcmeParts, AcmeThread, CertificateKeeper};
use anyhow::Context;
use config::MainConfig;
use config::acme::AcmeSettings;
use memory::counters::Counters;
use memory::snapshot::SnapshotReader;
use relay::proxy::acme_board::{AcmeBoard, ChallengeAnswers};
use relay::proxy::tls::{IssuedCertificates, has_file_for};
use sidecar::SidecarHandle;
use tokio::sync::{mpsc, watch};

/// The client of a CA, before it starts.
#[derive(Debug)]
pub struct PreparedAcme {
    settings: AcmeSettings,
    board: Arc<AcmeBoard>,
    asked: mpsc::Receiver<String>,
    issued: watch::Sender<u64>,
}

impl PreparedAcme {
    pub fn new(settings: &AcmeSettings) -> PreparedAcme {
        let (board, asked) = AcmeBoard::new(settings.on_demand.clone());
        PreparedAcme { settings: settings.clone(), board: Arc::new(board), asked, issued: watch::Sender::new(0) }
    }

    /// For a listener with certificates of the CA.
    pub fn for_listener(&self) -> (Arc<AcmeBoard>, IssuedCertificates) {
        let issued = IssuedCertificates { folder: self.settings.folder.clone(), changed: self.issued.subscribe() };
        (self.board.clone(), issued)
    }

    /// Orders what is missing from now on: the listeners must be there to answer.
    pub fn start(
        self,
        settings: &MainConfig,
        published: &SnapshotReader,
        (sidecar, counters): (&SidecarHandle, &Arc<Counters>),
    ) -> anyhow::Result<AcmeThread> {
        let listeners: Vec<_> = settings.tls.iter().filter(|listener| listener.acme).cloned().collect();
        let is_brought = move |name: &str| listeners.iter().all(|listener| has_file_for(listener, name));
        let keeper = CertificateKeeper::open(AcmeParts {
            settings: self.settings,
            board: self.board,
            asked: self.asked,
            issued: self.issued,
            published: published.clone(),
            is_brought: Box::new(is_brought),
            sidecar: sidecar.clone(),
            counters: counters.clone(),
        });
        keeper.map_err(anyhow::Error::msg)?.start().context("cannot start the client of the CA")
    }
}

/// What a CA may ask for; `None` if no CA is expected to ask.
pub fn challenges(settings: &MainConfig, acme: Option<&PreparedAcme>) -> Option<ChallengeAnswers> {
    let (board, folder) = (acme.map(|acme| acme.board.clone()), settings.acme_challenges.clone());
    (board.is_some() || folder.is_some()).then_some(ChallengeAnswers { board, folder })
}
