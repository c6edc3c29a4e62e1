//! Mail, by SMTP.

use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::delivery::Delivery;
use crate::http::{allowed, root_cause};
use crate::notice::{Notice, truncated};
use config::notify::{EmailChannel, SmtpSecurity};

/// The timeout of one SMTP command and its reply.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of one attempt, from the DNS lookup to the last reply.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses of the server that one attempt connects to.
const MAX_ADDRESSES: usize = 3;
/// The longest subject, in bytes: longer ones are folded by some programs and cut off by others.
const MAX_SUBJECT: usize = 150;

#[derive(Debug)]
pub struct Mailer {
    email: EmailChannel,
    /// If TLS cannot be set up, every attempt reports why.
    tls: Result<Tls, String>,
}

impl Mailer {
    pub fn new(email: &EmailChannel) -> Mailer {
        let parameters = || TlsParameters::new(email.host.clone()).map_err(|error| root_cause(&error));
        let tls = match email.security {
            SmtpSecurity::Clear => Ok(Tls::None),
            SmtpSecurity::StartTls => parameters().map(Tls::Required),
            SmtpSecurity::Tls => parameters().map(Tls::Wrapper),
        };
        Mailer { email: email.clone(), tls }
    }

    /// Makes one attempt.
    pub async fn send(&self, notice: &Notice) -> Delivery {
        let message = match self.message(notice) {
            Ok(message) => message,
            Err(error) => return Delivery::Refused(root_cause(&error)),
        };
        match tokio::time::timeout(TIMEOUT, self.hand_over(message)).await {
            Ok(outcome) => outcome,
            Err(_) => Delivery::Again {
                why: format!("mail server did not finish within {}s", TIMEOUT.as_secs()),
                after: None,
            },
        }
    }

    async fn hand_over(&self, message: Message) -> Delivery {
        let tls = match &self.tls {
            Ok(tls) => tls,
            Err(why) => return Delivery::Refused(why.clone()),
        };
        let addresses = match allowed(&self.email.host, self.email.port).await {
            Ok(addresses) => addresses,
            Err(why) => return Delivery::Again { why, after: None },
        };
        let mut why = String::new();
        for address in addresses.iter().take(MAX_ADDRESSES) {
            // Connects to the address that was checked; the certificate must still name the host.
            let server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string());
            let mut server = server.port(self.email.port).tls(tls.clone()).timeout(Some(COMMAND_TIMEOUT));
            if let Some((user, password)) = &self.email.login {
                server = server
                    .credentials(Credentials::new(user.clone(), password.reveal().clone()))
                    .authentication(vec![Mechanism::Plain, Mechanism::Login]);
            }
            match server.build().send(message.clone()).await {
                Ok(_) => return Delivery::Taken,
                Err(error) if is_final(&error) => return Delivery::Refused(self.reason(&error)),
                Err(error) if error.is_transient() => return Delivery::Again { why: self.reason(&error), after: None },
                // The connection failed: another address may work.
                Err(error) => why = self.reason(&error),
            }
        }
        Delivery::Again { why, after: None }
    }

    /// The server's reply or the cause of the failure, unless it contains the password.
    fn reason(&self, error: &Error) -> String {
        // An SMTP reply is told with its code; of anything else the root cause is enough.
        let replied = error.is_permanent() || error.is_transient();
        let text = truncated(&if replied { error.to_string() } else { root_cause(error) }, 300);
        let password = self.email.login.as_ref().map(|(_, password)| password.reveal());
        if password.is_some_and(|password| text.contains(password.as_str())) {
            return "the mail server refused the message".to_owned();
        }
        text
    }

    fn message(&self, notice: &Notice) -> Result<Message, lettre::error::Error> {
        let email = &self.email;
        let domain = email.from.email.domain();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut message = Message::builder()
            .from(email.from.clone())
            .subject(truncated(&format!("[cutover] {}", notice.title()), MAX_SUBJECT))
            // The same at every attempt, so that mail programs show a repeated message once.
            .message_id(Some(format!("<{}@{domain}>", notice.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in &email.to {
            message = message.to(to.clone());
        }
        message.body(text(notice))
    }
}

/// Whether another attempt cannot succeed: the server refuses for good, or lacks what was asked of it.
fn is_final(error: &Error) -> bool {
    error.is_permanent() || error.is_client()
}

fn text(notice: &Notice) -> String {
    let mut text = format!("{}\n\n{}\n\n", notice.title(), notice.text);
    for (name, value) in notice.facts() {
        text.push_str(&format!("{name:<12}{value}\n"));
    }
    let account = notice.account();
    if !account.is_empty() {
        text.push_str(&format!("\n{}\n", account.join("\n")));
    }
    if let Some(explain) = &notice.explain {
        text.push_str(&format!("\nTo see the evidence: {explain}\n"));
    }
    if let Some(newest) = &notice.newest {
        text.push_str(&format!("\nThe journal held entry {} by now: {}\n", newest.entry, newest.hash));
    }
    text
}
