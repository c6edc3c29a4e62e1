//! One order: from an account to a certificate with its key.

use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rustls::pki_types::Der;
use tokio::time::timeout;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::ca_client::CaClient;
use crate::challenge;
use crate::store::CertificateStore;
use config::acme::{AcmeChallenge, AcmeSettings};
use relay::proxy::acme_board::AcmeBoard;

/// For a whole order. A CA that hangs holds the next name for no longer.
const PATIENCE: Duration = Duration::from_secs(180);
/// For what the CA has to check, or to sign.
const POLLS: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(60));
/// A CA may forget its nonces at any time, as for a restart; the library tries three for every request.
const NONCE_ROUNDS: usize = 8;

const BAD_NONCE: &str = "urn:ietf:params:acme:error:badNonce";
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// What an order needs.
#[derive(Debug)]
pub struct OrderDesk<'a> {
    pub settings: &'a AcmeSettings,
    pub client: &'a CaClient,
    pub store: &'a CertificateStore,
    pub board: &'a AcmeBoard,
}

impl OrderDesk<'_> {
    /// A certificate for a name, with its chain and its key, in PEM. `way`: how the CA is to check.
    ///
    /// # Errors
    /// What went wrong, for a person.
    pub async fn order(&self, name: &str, way: AcmeChallenge) -> Result<String, String> {
        let ordered = timeout(PATIENCE, self.steps(name, way)).await;
        self.board.close();
        ordered.unwrap_or_else(|_| Err(format!("the CA did not finish the order in {} s", PATIENCE.as_secs())))
    }

    async fn steps(&self, name: &str, way: AcmeChallenge) -> Result<String, String> {
        let account = self.account().await?;
        let identifiers = [Identifier::Dns(name.to_owned())];
        let order = past_nonces(async || account.new_order(&NewOrder::new(&identifiers)).await).await;
        let mut order = order.map_err(|error| {
            if matches!(&error, Error::Api(problem) if problem.r#type.as_deref() == Some(NO_ACCOUNT)) {
                // The next order makes another one.
                self.store.forget_account();
            }
            in_words("the CA refused the order", &error)
        })?;
        self.authorize(&mut order, name, way).await?;
        let status = past_nonces_of(&mut order, async |order| order.poll_ready(&POLLS).await).await;
        match status {
            Ok(OrderStatus::Ready) => {}
            Ok(_) => return Err(self.refusal(&mut order, way).await),
            Err(error) => return Err(in_words(&unchecked(way), &error)),
        }
        let key = past_nonces_of(&mut order, async |order| order.finalize().await).await;
        let key = key.map_err(|error| in_words("the CA did not take the request for the certificate", &error))?;
        let chain = past_nonces_of(&mut order, async |order| order.poll_certificate(&POLLS).await).await;
        let chain = chain.map_err(|error| in_words("the CA did not issue the certificate", &error))?;
        Ok(format!("{}\n{key}", chain.trim_end()))
    }

    /// When the CA wants a certificate to be renewed (RFC 9773), in seconds since 1970, and when it wants to be asked again.
    ///
    /// # Errors
    /// Why it is not known. `None` if the CA has no opinion.
    pub async fn suggestion(&self, leaf: &[u8], draw: f64) -> Result<Option<(i64, Duration)>, String> {
        let Some(id) = renewal_id(leaf) else { return Ok(None) };
        let asked = timeout(PATIENCE, async {
            let account = self.account().await?;
            match account.renewal_info(&id).await {
                Ok((info, again)) => {
                    let (start, end) = (info.suggested_window.start, info.suggested_window.end);
                    let (start, end) = (start.unix_timestamp(), end.unix_timestamp());
                    let at = start + (end.saturating_sub(start).max(0) as f64 * draw) as i64;
                    Ok(Some((at, again)))
                }
                Err(Error::Unsupported(_)) => Ok(None),
                Err(error) => Err(in_words("the CA does not say when to renew", &error)),
            }
        });
        asked.await.unwrap_or_else(|_| Err("the CA does not say when to renew in time".to_owned()))
    }

    async fn account(&self) -> Result<Account, String> {
        let cannot = |error: &Error| in_words("the CA cannot be reached", error);
        let kept =
            self.store.account::<AccountCredentials>().map_err(|error| format!("cannot read the account: {error}"))?;
        if let Some(credentials) = kept {
            let builder = Account::builder_with_http(Box::new(self.client.clone()));
            return builder.from_credentials(credentials).await.map_err(|error| cannot(&error));
        }
        let contact = self.settings.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let eab = self.settings.eab.as_ref();
        let eab = eab.map(|account| ExternalAccountKey::new(account.kid.clone(), account.key.reveal()));
        let made = past_nonces(async || {
            let builder = Account::builder_with_http(Box::new(self.client.clone()));
            builder.create(&wanted, self.settings.directory.to_string(), eab.as_ref()).await
        });
        let (account, credentials) = made.await.map_err(|error| in_words("the CA gives no account", &error))?;
        self.store.keep_account(&credentials).map_err(|error| format!("cannot keep the account: {error}"))?;
        tracing::info!(directory = %self.settings.directory, account = account.id(), "account with the CA created");
        Ok(account)
    }

    /// Opens the challenge, and has the CA ask.
    async fn authorize(&self, order: &mut Order, name: &str, way: AcmeChallenge) -> Result<(), String> {
        let opened = past_nonces_of(order, async |order| {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                if authorization.status != AuthorizationStatus::Pending {
                    continue;
                }
                let mut challenge = authorization.challenge(kind(way)).ok_or(Error::Str("challenge"))?;
                let answer = challenge.key_authorization();
                match way {
                    AcmeChallenge::Http => self.board.open_http(&challenge.token, answer.as_str()),
                    AcmeChallenge::TlsAlpn => {
                        let handshake = challenge::handshake(name, answer.digest().as_ref());
                        self.board.open_tls(name, handshake.map_err(|why| Error::Other(why.into()))?);
                    }
                }
                challenge.set_ready().await?;
            }
            Ok(())
        });
        opened.await.map_err(|error| match error {
            Error::Str("challenge") => format!("the CA does not offer {}", word(way)),
            error => in_words("the CA did not take the challenge", &error),
        })
    }

    /// Why the CA did not find what it looked for.
    async fn refusal(&self, order: &mut Order, way: AcmeChallenge) -> String {
        let found = past_nonces_of(order, async |order| {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                authorization.refresh().await?;
                let challenges = authorization.challenges.iter();
                if let Some(error) = challenges.filter_map(|challenge| challenge.error.clone()).next() {
                    return Ok(Some(error));
                }
            }
            Ok(None)
        });
        let why = match found.await {
            Ok(Some(problem)) => told(&problem),
            Ok(None) | Err(_) => "it does not say why".to_owned(),
        };
        format!("{}: {why}", unchecked(way))
    }
}

/// By what a CA knows a certificate (RFC 9773 4.1).
fn renewal_id(leaf: &[u8]) -> Option<CertificateIdentifier<'static>> {
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let authority = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
        _ => None,
    })?;
    Some(CertificateIdentifier::new(Der::from_slice(authority.0), Der::from_slice(parsed.raw_serial())))
}

const fn kind(way: AcmeChallenge) -> ChallengeType {
    match way {
        AcmeChallenge::Http => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn => ChallengeType::TlsAlpn01,
    }
}

fn unchecked(way: AcmeChallenge) -> String {
    format!("the CA could not check the name by {}", word(way))
}

const fn word(way: AcmeChallenge) -> &'static str {
    match way {
        AcmeChallenge::Http => "http-01 (port 80)",
        AcmeChallenge::TlsAlpn => "tls-alpn-01 (port 443)",
    }
}

fn is_bad_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(BAD_NONCE))
}

/// Takes a step again for as long as only its nonces are refused.
async fn past_nonces<T>(mut step: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..NONCE_ROUNDS {
        match step().await {
            Err(error) if is_bad_nonce(&error) => {}
            done => return done,
        }
    }
    step().await
}

async fn past_nonces_of<T>(
    order: &mut Order,
    mut step: impl AsyncFnMut(&mut Order) -> Result<T, Error>,
) -> Result<T, Error> {
    past_nonces(async || step(order).await).await
}

/// What a CA says of a problem: bounded, because it may be anybody.
fn told(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().or(problem.r#type.as_deref()).unwrap_or("no reason");
    let parts = problem.subproblems.iter().filter_map(|part| part.detail.as_deref());
    let all: Vec<&str> = std::iter::once(detail).chain(parts).collect();
    let text: String = all.join("; ").chars().filter(|c| !c.is_control()).take(500).collect();
    match problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()) {
        Some(kind) if problem.detail.is_some() => format!("{text} ({})", kind.chars().take(40).collect::<String>()),
        _ => text,
    }
}

fn in_words(what: &str, error: &Error) -> String {
    match error {
        Error::Api(problem) => format!("{what}: {}", told(problem)),
        Error::Timeout(_) => format!("{what} in time"),
        other => format!("{what}: {}", other.to_string().chars().take(500).collect::<String>()),
    }
}
