//! A web server before a manager, as clusters have them: it keeps logins, signs what comes with the
//! id of one, and may forget them all. It stands in for Backend.AI's own, with its paths and bodies.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::manager::{Manager, VERSION};

const SESSION: &str = "x-backendai-sessionid";

#[derive(Debug)]
struct State {
    manager: SocketAddr,
    logins: Mutex<HashMap<String, Manager>>,
    made: Mutex<u64>,
    open: Mutex<Vec<TcpStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The web server; its connections end with the test.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    state: Arc<State>,
}

/// A request: its head in parts, and as much of its body as has come.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    rest: Vec<u8>,
}

impl WebServer {
    /// Listens on a free port of this computer, before the manager at an address such as
    /// `http://127.0.0.1:8091`.
    ///
    /// # Errors
    /// When that is no such address, or nothing can be listened on.
    pub fn before(manager: &str) -> Result<Self> {
        let manager = manager.strip_prefix("http://").context("http:// only")?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            manager: manager.trim_end_matches('/').parse()?,
            logins: Mutex::default(),
            made: Mutex::default(),
            open: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || {
                    // What is cut off in the middle is the client's business.
                    let _ = serve(client, &state);
                });
            }
        });
        Ok(Self { address, state })
    }

    /// Its own address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many logins it keeps now.
    #[must_use]
    pub fn logins(&self) -> usize {
        lock(&self.state.logins).len()
    }

    /// Forgets all logins and ends what goes on with them, as it does when their time is over.
    pub fn end_logins(&self) {
        lock(&self.state.logins).clear();
        for open in lock(&self.state.open).drain(..) {
            let _ = open.shutdown(Shutdown::Both);
        }
    }
}

impl Request {
    fn read(client: &mut TcpStream) -> Result<Self> {
        const END: &[u8] = b"\r\n\r\n";
        let mut all = Vec::new();
        let mut buffer = [0; 16 << 10];
        let end = loop {
            if let Some(at) = all.windows(END.len()).position(|part| part == END) {
                break at;
            }
            ensure!(all.len() < 1 << 20, "a head without an end");
            let count = client.read(&mut buffer)?;
            ensure!(count > 0, "no request");
            all.extend_from_slice(&buffer[..count]);
        };
        let head = String::from_utf8(all[..end].to_vec())?;
        let mut lines = head.lines();
        let first = lines.next().context("no first line")?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next(), words.next());
        let headers = lines.filter_map(|line| line.split_once(':'));
        Ok(Self {
            method: method.context("no method")?,
            target: target.context("no target")?,
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            rest: all[end + END.len()..].to_vec(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All of its body as JSON.
    fn json(&mut self, client: &mut TcpStream) -> Result<Value> {
        let length: usize = self.header("content-length").unwrap_or("0").parse()?;
        let mut buffer = [0; 4096];
        while self.rest.len() < length {
            let count = client.read(&mut buffer)?;
            ensure!(count > 0, "half a body");
            self.rest.extend_from_slice(&buffer[..count]);
        }
        Ok(serde_json::from_slice(&self.rest)?)
    }
}

fn answer(client: &mut TcpStream, status: &str, headers: &str, body: &str) -> Result<()> {
    write!(
        client,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )?;
    Ok(client.shutdown(Shutdown::Write)?)
}

fn serve(mut client: TcpStream, state: &State) -> Result<()> {
    let _ = client.set_nodelay(true);
    let mut request = Request::read(&mut client)?;
    let path = request.target.split('?').next().unwrap_or_default();
    match path {
        "/server/login" => log_in(&mut client, &mut request, state),
        "/server/update-password-no-auth" => renew(&mut client, &mut request, state),
        "/server/logout" => {
            lock(&state.logins).remove(request.header(SESSION).unwrap_or_default());
            answer(&mut client, "200 OK", "", "")
        }
        _ if path.starts_with("/func/") => {
            let Some(id) = request.header(SESSION) else {
                return pass(client, &request, state, None);
            };
            let known = lock(&state.logins).get(id).cloned();
            match known {
                Some(login) => pass(client, &request, state, Some(&login)),
                None => answer(
                    &mut client,
                    "401 Unauthorized",
                    "content-type: application/problem+json\r\n",
                    r#"{"type":"https://api.backend.ai/probs/auth-failed","title":"Unauthorized access"}"#,
                ),
            }
        }
        _ => answer(
            &mut client,
            "200 OK",
            "content-type: text/html\r\n",
            "<!doctype html><title>Console</title>",
        ),
    }
}

/// Asks the manager itself; status and body.
fn ask(state: &State, path: &str, body: &Value) -> Result<(u16, Value)> {
    let mut manager = TcpStream::connect(state.manager)?;
    let body = body.to_string();
    write!(
        manager,
        "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        state.manager,
        body.len()
    )?;
    let mut said = String::new();
    manager.read_to_string(&mut said)?;
    let status = said.split(' ').nth(1).context("no status")?.parse()?;
    let body = said.split_once("\r\n\r\n").context("no body")?.1;
    Ok((status, serde_json::from_str(body)?))
}

/// Why the manager said no, as the web server passes it on.
fn reason(said: &Value) -> Value {
    json!({ "type": said["type"], "title": said["title"], "details": said["msg"] })
}

fn log_in(client: &mut TcpStream, request: &mut Request, state: &State) -> Result<()> {
    let asked = request.json(client)?;
    let body = json!({
        "type": "keypair", "domain": "default",
        "username": asked["username"], "password": asked["password"],
    });
    let (status, said) = ask(state, "/auth/authorize", &body)?;
    if status != 200 {
        let told = json!({ "authenticated": false, "data": reason(&said) });
        let status = format!("{status} Refused");
        return answer(client, &status, "", &told.to_string());
    }
    let data = &said["data"];
    let text = |key: &str| data[key].as_str().context("half a keypair");
    let login = Manager::at(
        &format!("http://{}", state.manager),
        text("access_key")?,
        text("secret_key")?,
    )?;
    let id = {
        let mut made = lock(&state.made);
        *made += 1;
        hex::encode(Sha256::digest(format!("{made} {}", login.secret_key)))
    };
    lock(&state.logins).insert(id.clone(), login);
    let told = json!({ "authenticated": true, "data": {
        "access_key": data["access_key"], "role": data["role"], "status": data["status"],
    }});
    let headers = format!("content-type: application/json\r\n{SESSION}: {id}\r\n");
    answer(client, "200 OK", &headers, &told.to_string())
}

fn renew(client: &mut TcpStream, request: &mut Request, state: &State) -> Result<()> {
    let mut body = request.json(client)?;
    body["domain"] = "default".into();
    let (status, said) = ask(state, "/auth/update-password-no-auth", &body)?;
    let told = match status {
        201 => json!({ "data": null, "password_changed_at": said["password_changed_at"] }),
        _ => json!({ "data": reason(&said), "password_changed_at": null }),
    };
    let status = format!("{status} Done");
    let headers = "content-type: application/json\r\n";
    answer(client, &status, headers, &told.to_string())
}

/// Passes a request on, signed with the keypair of its login, and whatever comes after it.
fn pass(
    client: TcpStream,
    request: &Request,
    state: &State,
    login: Option<&Manager>,
) -> Result<()> {
    const OWN: [&str; 6] = [
        "host",
        "date",
        "authorization",
        "x-backendai-version",
        SESSION,
        "connection",
    ];
    let target = request.target.strip_prefix("/func").context("/func")?;
    let date = jiff::Timestamp::now().to_string();
    let content_type = request.header("content-type");
    let signed = content_type.unwrap_or("application/octet-stream");
    let mut head = format!(
        "{} {target} HTTP/1.1\r\nhost: {}\r\ndate: {date}\r\nx-backendai-version: {VERSION}\r\n",
        request.method, state.manager
    );
    if let Some(login) = login {
        let shown = login.authorization(&request.method, target, &date, signed)?;
        head.push_str(&format!("authorization: {shown}\r\n"));
    }
    let connection = match request.header("upgrade") {
        Some(_) => "Upgrade",
        None => "close",
    };
    head.push_str(&format!("connection: {connection}\r\n"));
    for (name, value) in &request.headers {
        if !OWN.contains(&name.as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let mut manager = TcpStream::connect(state.manager)?;
    let _ = manager.set_nodelay(true);
    if login.is_some() {
        lock(&state.open).extend([client.try_clone()?, manager.try_clone()?]);
    }
    manager.write_all(format!("{head}\r\n").as_bytes())?;
    manager.write_all(&request.rest)?;
    let (from_client, to_manager) = (client.try_clone()?, manager.try_clone()?);
    let up = thread::spawn(move || pump(from_client, to_manager));
    pump(manager, client);
    let _ = up.join();
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
