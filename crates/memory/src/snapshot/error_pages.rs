//! The pages that clients see in the place of Cutover's own short texts.

use std::sync::Arc;

/// A page, as it is sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ErrorPage {
    /// Its media type.
    pub media: &'static str,
    pub body: Arc<[u8]>,
}

impl std::fmt::Debug for ErrorPage {
    /// What a digest of it differs by; it is too long to be shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut digest = DefaultHasher::new();
        self.hash(&mut digest);
        write!(f, "ErrorPage({} {:x})", self.media, digest.finish())
    }
}

/// A service's pages, by the statuses that they are for. That of a single status comes before that of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorPages(pub Box<[(std::ops::RangeInclusive<u16>, ErrorPage)]>);

impl ErrorPages {
    /// The page of a status, if there is one.
    pub fn page(&self, status: u16) -> Option<&ErrorPage> {
        let fitting = self.0.iter().filter(|(statuses, _)| statuses.contains(&status));
        fitting.min_by_key(|(statuses, _)| statuses.end() - statuses.start()).map(|(_, page)| page)
    }
}

/// Every request of the service is answered with 503.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceTerms {
    /// `None` for the page that 503 has anyway.
    pub page: Option<ErrorPage>,
    /// In seconds.
    pub retry_after: Option<u64>,
}
