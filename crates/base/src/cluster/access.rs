//! From a context of a kubeconfig to a client: as kubectl would read it, and nothing without a limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{AuthInfo, Cluster as ClusterInfo, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::{BoxError, ServiceBuilder};

use super::address::Address;
use super::client::{ConnectOptions, Tell};
use super::find::{Chosen, unusable};
use super::gate::GateLayer;
use super::login::{Login, Source, basic, bearer};
use super::place::bare_address;
use super::plugin::Plugin;
use crate::error::{Error, Result, code};
use crate::host::small;
use crate::redact::{know_address, know_in};

/// How long a TCP connection and its TLS handshake may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("kvnet/", env!("CARGO_PKG_VERSION"));

/// A client with its facts.
pub(super) struct Access {
    pub client: kube::Client,
    pub login: Login,
    /// The address of the API server.
    pub server: String,
    /// The address, and the proxy on the way to it.
    pub route: String,
    /// The digest of the server's CA.
    pub authority: Option<String>,
}

/// The client for a context; warns about what is insecure.
pub(super) async fn open(chosen: &Chosen, options: &ConnectOptions) -> Result<Access> {
    know_secrets(chosen);
    let address = server(chosen)?;
    let proxy = proxy(&chosen.cluster)?;
    let mut config = Config::new(address.uri.clone());
    config.connect_timeout = Some(CONNECT_TIME);
    // Watches and exec can be silent for long; calls have their own timeout.
    config.read_timeout = None;
    // The retries of this module know which requests they may repeat and say why they gave up.
    config.default_retry = false;
    config.accept_invalid_certs = chosen.cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = chosen.cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    // Identifies kvnet's requests in the API server's audit log.
    config.headers.push((http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
    let authority = authority(&chosen.cluster)?;
    // Without a CA, kube looks for the machine's, and fails on one that has none (a thin container) even where none is used.
    let verifies = address.uri.scheme_str() == Some("https") && !config.accept_invalid_certs;
    config.root_cert = authority.clone().or_else(|| (!verifies).then(Vec::new));
    let source = source(chosen, &address, options)?;
    warn(chosen, &address, &source, &options.tell);
    config.auth_info = identity(&chosen.user)?;
    if let Source::Plugin(plugin) = &source {
        let given = plugin.credential().await?;
        if let (Some(certificate), Some(key)) = (given.client_certificate_data, given.client_key_data) {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
        }
    }
    let login = Login::new(source).await?;
    let server = bare_address(&address.uri.to_string());
    let route = proxy.as_ref().map_or_else(
        || server.clone(),
        |proxy| format!("{server} through the proxy {}", bare_address(&proxy.uri.to_string())),
    );
    // One provider for the whole process; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client(config, proxy, &login).map_err(|error| unusable(&chosen.origin).because(error))?;
    Ok(Access { client, login, server, route, authority: authority.as_deref().map(digest) })
}

/// The address of the API server and the digest of its CA, from a kubeconfig.
pub(super) fn leads_to(chosen: &Chosen) -> Result<(String, Option<String>)> {
    let server = bare_address(&server(chosen)?.uri.to_string());
    Ok((server, authority(&chosen.cluster)?.as_deref().map(digest)))
}

fn digest(authority: &[Vec<u8>]) -> String {
    format!("{:x}", Sha256::digest(authority.concat()))
}

/// The secrets, which no output may repeat.
fn know_secrets(chosen: &Chosen) {
    know_in(&serde_json::to_value(&chosen.user).unwrap_or_default());
    let addresses = [&chosen.cluster.server, &chosen.cluster.proxy_url];
    addresses.into_iter().flatten().for_each(|address| know_address(address));
}

/// The API server's address; without a scheme it is TLS when any TLS option is set, as for kubectl.
fn server(chosen: &Chosen) -> Result<Address> {
    let server = chosen.cluster.server.as_deref().map(str::trim).filter(|server| !server.is_empty());
    let server = server.ok_or_else(|| unusable(&chosen.origin).because("its cluster has no `server`"))?;
    if server.contains("://") {
        return Address::parse(server, "server", &["http", "https"]);
    }
    let (cluster, user) = (&chosen.cluster, &chosen.user);
    let tls = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    let scheme = if tls { "https" } else { "http" };
    Address::parse(&format!("{scheme}://{server}"), "server", &["http", "https"])
}

/// The proxy that the kubeconfig names. Those of the environment are for downloads: a node's `NO_PROXY` seldom has the API
/// server.
fn proxy(cluster: &ClusterInfo) -> Result<Option<Address>> {
    let url = cluster.proxy_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
    url.map(|url| Address::parse(url, "proxy-url", &["http", "https", "socks5"])).transpose()
}

fn authority(cluster: &ClusterInfo) -> Result<Option<Vec<Vec<u8>>>> {
    let what = "certificate-authority";
    let Some(pem) = content(
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
        what,
    )?
    else {
        return Ok(None);
    };
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<std::result::Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(Some(certificates)),
        _ => Err(field(what).because("it has no PEM certificate")),
    }
}

/// The user of the kubeconfig, with certificate and key read.
fn identity(user: &AuthInfo) -> Result<AuthInfo> {
    let fields = serde_json::to_value(user).unwrap_or_default();
    let data = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let load = |name: &str| content(data(&format!("{name}-data")).as_deref(), data(name).as_deref(), name);
    let (certificate, key) = (load("client-certificate")?, load("client-key")?);
    if certificate.is_some() != key.is_some() {
        return Err(
            field("client-certificate").because("a client certificate needs its client key, and vice versa")
        );
    }
    Ok(AuthInfo {
        client_certificate_data: certificate.map(|pem| STANDARD.encode(pem)),
        client_key_data: key.map(|pem| STANDARD.encode(pem).into()),
        impersonate: user.impersonate.clone(),
        impersonate_uid: user.impersonate_uid.clone(),
        impersonate_groups: user.impersonate_groups.clone(),
        impersonate_user_extra: user.impersonate_user_extra.clone(),
        ..AuthInfo::default()
    })
}

/// The data, else the content of the file.
fn content(data: Option<&str>, file: Option<&str>, what: &str) -> Result<Option<Vec<u8>>> {
    if let Some(data) = data.filter(|data| !data.trim().is_empty()) {
        let data: String = data.split_whitespace().collect();
        let decoded = STANDARD.decode(data);
        return decoded.map(Some).map_err(|_| field(&format!("{what}-data")).because("it is not base64"));
    }
    let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
    let read = small::read(Path::new(file)).map(|file| Some(file.content));
    read.map_err(|error| field(what).at(file).because(error))
}

fn field(what: &str) -> Error {
    Error::new(&code::CLUSTER_CONFIG, format!("`{what}` of the kubeconfig cannot be used"))
}

/// The user's authentication, in kubectl's order.
fn source(chosen: &Chosen, address: &Address, options: &ConnectOptions) -> Result<Source> {
    let user = &chosen.user;
    if user.auth_provider.is_some() {
        let message = format!("the user of context `{}` has an `auth-provider`", chosen.context);
        return Err(Error::new(&code::AUTH_PROVIDER, message).at(chosen.origin.as_str()));
    }
    let fields = serde_json::to_value(user).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let token =
        text("token").map(|token| bearer(token, &format!("of context `{}`", chosen.context))).transpose()?;
    if let Some(file) = text("tokenFile") {
        return Ok(Source::File(PathBuf::from(file), token));
    }
    if let Some(token) = token {
        return Ok(Source::Fixed(token));
    }
    if let Some(name) = text("username") {
        return Ok(Source::Fixed(basic(name, text("password").unwrap_or_default())?));
    }
    if let Some(spec) = &user.exec {
        refuse_open(chosen)?;
        let about = about(&chosen.cluster, address);
        let plugin = Plugin::new(spec.clone(), about, options.deadline, options.tell.clone());
        return Ok(Source::Plugin(Box::new(plugin)));
    }
    Ok(match &address.login {
        Some((name, password)) => Source::Fixed(basic(name, password)?),
        None => Source::None,
    })
}

/// What a plugin may know about the cluster.
fn about(cluster: &ClusterInfo, address: &Address) -> Value {
    let extensions = cluster.extensions.iter().flatten();
    let config = extensions.filter(|extension| extension.name == "client.authentication.k8s.io/exec");
    let config = config.map(|extension| extension.extension.clone()).next();
    let authority = content(
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
        "certificate-authority",
    );
    let mut about = json!({
        "server": bare_address(&address.uri.to_string()),
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": authority.ok().flatten().map(|pem| STANDARD.encode(pem)),
        "proxy-url": cluster.proxy_url,
        "config": config,
    });
    if let Some(fields) = about.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    about
}

/// A program that other users can choose is not run as root.
fn refuse_open(chosen: &Chosen) -> Result<()> {
    let open = chosen.open.iter().find(|_| rustix::process::geteuid().is_root());
    open.map_or(Ok(()), |(file, why)| {
        let message =
            "other users can write to the kubeconfig, and it names a program that would be run as root";
        Err(Error::new(&code::KUBECONFIG_OPEN, message).at(file.display().to_string()).because(why))
    })
}

fn warn(chosen: &Chosen, address: &Address, source: &Source, tell: &Tell) {
    let server = bare_address(&address.uri.to_string());
    let tls = address.uri.scheme_str() == Some("https");
    if tls && chosen.cluster.insecure_skip_tls_verify == Some(true) {
        tell.warn(&format!("the kubeconfig has `insecure-skip-tls-verify`: anyone on the path can pose as {server} and take the credentials"));
    }
    if !tls && !address.is_loopback() {
        let what = if matches!(source, Source::None) { "everything" } else { "the credentials" };
        tell.warn(&format!("{server} is plain http: {what} can be read on the path"));
    }
}

fn client(
    mut config: Config,
    proxy: Option<Address>,
    login: &Login,
) -> std::result::Result<kube::Client, kube::Error> {
    let gate = GateLayer(login.clone());
    if let Some(Address { uri, login: Some((name, password)) }) = &proxy
        && uri.scheme_str() == Some("socks5")
    {
        return socks(&config, uri, name, password, &gate);
    }
    // kube takes the credentials of an http proxy from the URL, where they have to be encoded.
    config.proxy_url = proxy.and_then(|proxy| proxy.with_login().parse().ok());
    Ok(ClientBuilder::try_from(config)?.with_layer(&gate).build())
}

/// kube knows SOCKS only without a name and a password.
fn socks(
    config: &Config,
    proxy: &http::Uri,
    name: &str,
    password: &str,
    gate: &GateLayer,
) -> std::result::Result<kube::Client, kube::Error> {
    use hyper_util::client::legacy::connect::{HttpConnector, proxy::SocksV5};
    use hyper_util::client::legacy::{Builder, Client};
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIME));
    let connector = SocksV5::new(proxy.clone(), connector).with_auth(name.to_owned(), password.to_owned());
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let client: Client<_, Body> = Builder::new(hyper_util::rt::TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, "default").with_layer(gate).build())
}
