//! A mail server that speaks as much SMTP as a client needs, and keeps what it hears.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server says to some commands.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    /// Offers AUTH PLAIN and takes this user and password alone.
    pub login: Option<(String, String)>,
    /// Offers STARTTLS, and turns it down when it is asked for.
    pub turns_starttls_down: bool,
    /// Speaks TLS by this: from the first byte, or once it is asked for.
    pub tls: Option<(Arc<ServerConfig>, When)>,
    /// The answers to the first RCPTs; after them, 250.
    pub receivers: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    AtOnce,
    Asked,
}

#[derive(Clone, Debug, Default)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// With head, quoted-printable undone.
    pub text: String,
}

#[derive(Default)]
struct Heard {
    mails: Vec<Mail>,
    commands: Vec<String>,
}

pub struct Server {
    pub address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Server {
    pub fn start(habits: Habits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let keeps = heard.clone();
        let habits = Arc::new(Mutex::new(habits));
        // Ends with the test's process: a listener that nobody asks costs nothing.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heard, habits) = (keeps.clone(), habits.clone());
                // A client that hangs up ends the talk.
                std::thread::spawn(move || drop(serve(stream, &habits, &heard)));
            }
        });
        Server { address, heard }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.heard.lock().unwrap().mails.clone()
    }

    pub fn commands(&self) -> Vec<String> {
        self.heard.lock().unwrap().commands.clone()
    }
}

fn serve(mut stream: TcpStream, habits: &Mutex<Habits>, heard: &Mutex<Heard>) -> std::io::Result<()> {
    let tls = habits.lock().unwrap().tls.clone();
    let secure = |stream: TcpStream, config: Arc<ServerConfig>| {
        BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream))
    };
    match tls {
        Some((config, When::AtOnce)) => {
            let mut stream = secure(stream, config);
            stream.get_mut().write_all(GREETING)?;
            talk(&mut stream, false, habits, heard).map(drop)
        }
        other => {
            stream.write_all(GREETING)?;
            let asked = talk(&mut BufReader::new(stream.try_clone()?), other.is_some(), habits, heard)?;
            match (asked, other) {
                (true, Some((config, _))) => talk(&mut secure(stream, config), false, habits, heard).map(drop),
                _ => Ok(()),
            }
        }
    }
}

const GREETING: &[u8] = b"220 mail.test ESMTP\r\n";

/// Talks until the client goes, or wants TLS and can have it: true.
fn talk<S: Read + Write>(
    stream: &mut BufReader<S>,
    has_tls: bool,
    habits: &Mutex<Habits>,
    heard: &Mutex<Heard>,
) -> std::io::Result<bool> {
    use base64::Engine;
    let Habits { login, turns_starttls_down, .. } = habits.lock().unwrap().clone();
    let mut mail = Mail::default();
    let mut is_known = login.is_none();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let line = line.trim_end();
        heard.lock().unwrap().commands.push(line.to_owned());
        let verb = line.split([' ', ':']).next().unwrap_or("").to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => {
                let auth = if login.is_some() { "250-AUTH PLAIN\r\n" } else { "" };
                let tls = if turns_starttls_down || has_tls { "250-STARTTLS\r\n" } else { "" };
                format!("250-mail.test\r\n{auth}{tls}250 8BITMIME")
            }
            "STARTTLS" if has_tls => {
                stream.get_mut().write_all(b"220 go on\r\n")?;
                return Ok(true);
            }
            "STARTTLS" => "454 TLS not available".to_owned(),
            "AUTH" => {
                let said = line.split(' ').nth(2).unwrap_or("");
                let said = base64::prelude::BASE64_STANDARD.decode(said).unwrap_or_default();
                let wanted = login.as_ref().map(|(user, password)| format!("\0{user}\0{password}").into_bytes());
                is_known = Some(said) == wanted;
                if is_known { "235 welcome".to_owned() } else { "535 who are you".to_owned() }
            }
            "MAIL" if !is_known => "530 log in first".to_owned(),
            "MAIL" => {
                mail.from = line.to_owned();
                "250 ok".to_owned()
            }
            "RCPT" => {
                mail.to.push(line.to_owned());
                let scripted = &mut habits.lock().unwrap().receivers;
                if scripted.is_empty() { "250 ok".to_owned() } else { scripted.remove(0).to_owned() }
            }
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n")?;
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n.\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte)?;
                    text.extend_from_slice(&byte);
                }
                mail.text = plain(&String::from_utf8_lossy(&text));
                heard.lock().unwrap().mails.push(std::mem::take(&mut mail));
                "250 taken".to_owned()
            }
            "QUIT" => {
                stream.get_mut().write_all(b"221 bye\r\n")?;
                return Ok(false);
            }
            _ => "250 ok".to_owned(),
        };
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
    }
}

/// Undoes quoted-printable.
fn plain(text: &str) -> String {
    let text = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'=').then(|| std::str::from_utf8(after.get(..2)?).ok()).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
