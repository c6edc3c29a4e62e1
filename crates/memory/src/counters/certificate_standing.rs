//! What is known about the certificates that a CA is asked for.

/// A name's certificate, and the orders for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateStanding {
    /// When it ends, in seconds since 1970; `None` if there is none.
    pub end: Option<i64>,
    /// Orders that have failed since the last that did not, and why the last one did.
    pub failures: u32,
    pub error: Option<String>,
    /// A client has asked for it, and no file names it.
    pub on_demand: bool,
}
