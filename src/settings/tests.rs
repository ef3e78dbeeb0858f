//! The sources and checks together, through the entry point of the commands.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One call: flags, variables and a file.
#[derive(Default)]
struct Call {
    flags: Flags,
    variables: Vec<(&'static str, &'static str)>,
    file: &'static str,
    mode: Option<Mode>,
    now: Option<Timestamp>,
}

impl Call {
    fn flag(mut self, key: &'static str, flag: &'static str, value: &str) -> Self {
        self.flags.insert(key, (flag, value.to_owned()));
        self
    }

    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn load(&self) -> Result<LoadedConfig, Vec<ConfigError>> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("landfall.toml");
        std::fs::write(&config, self.file).unwrap();
        let variables = self.variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(&LoadInput {
            flags: &self.flags,
            environment: &variables.collect(),
            config: Some(&config),
            name: "default",
            state_dir: Path::new(".landfall"),
            mode: self.mode.unwrap_or(Mode::Apply),
            now: self.now.unwrap_or_else(|| "2026-11-23T09:00:00Z".parse().unwrap()),
            ask: &|_| None,
        })
    }

    /// Returns the errors, one per line, without the file's folder.
    fn messages(&self) -> String {
        let line = |config_error: &ConfigError| {
            let place = match &config_error.place {
                Place::File { line, .. } => format!("landfall.toml:{}", line.unwrap_or_default()),
                other => other.to_string(),
            };
            format!("{place}: {}", config_error.message)
        };
        self.load().err().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn without_input_the_defaults_apply() {
    let config = Call::default().load().ok().unwrap();
    let settings = config.settings;
    assert_eq!(settings.domain, "demo.example.com");
    assert_eq!(settings.node_resource_group, "rg-aks-istio-gateway-demo-nodes");
    assert_eq!(settings.tags["ManagedBy"], "landfall");
    assert_eq!(settings.canary, Canary { stable: 90, canary: 10 });
    assert_eq!(settings.kubeconfig, Path::new(".landfall/default/kubeconfig"));
    assert!(settings.certificate.given.is_none() && settings.manifests.is_none());
    assert_eq!((config.place.cloud, config.place.sim.speed.value), (CloudName::Sim, 60.0));
}

#[test]
fn the_variables_of_deploy_sh_are_read() {
    let settings = Call::default()
        .variable("DOMAIN_NAME", "Shop.Example.com")
        .variable("RESOURCE_GROUP", "rg-shop")
        .variable("KEYVAULT_NAME", "kv-shop")
        .variable("NODE_COUNT", "3")
        .variable("DNS_ZONE_NAME", "example.com")
        .variable("KUBECONFIG", ":/tmp/one:/tmp/two")
        .variable("NODE_SIZE", "")
        .load()
        .ok()
        .unwrap()
        .settings;
    assert_eq!(settings.domain, "shop.example.com");
    assert_eq!(settings.node_resource_group, "rg-shop-nodes");
    assert_eq!(settings.key_vault.as_deref(), Some("kv-shop"));
    assert_eq!(settings.cluster.nodes, 3);
    assert_eq!(settings.cluster.node_size, "Standard_D4s_v5");
    assert_eq!(settings.dns.zone.as_deref(), Some("example.com"));
    assert_eq!(settings.kubeconfig, Path::new("/tmp/one"));
}

#[test]
fn an_invalid_derived_name_is_reported_at_its_source() {
    let call = Call { file: "# mine\nresource_group = \"a|b\"\n", ..Call::default() };
    let messages = call.messages();
    assert_eq!(messages.lines().count(), 2, "{messages}");
    assert!(messages.lines().all(|line| line.starts_with("landfall.toml:2: ")), "{messages}");
}

#[test]
fn every_error_of_every_source_is_reported_at_once() {
    let call = Call {
        file: "domian = \"x\"\n[cluster]\nnodes = \"two\"\nservice_cidr = \"10.0.4.0/22\"\n[canary]\nstable = 80\n",
        ..Call::default()
    }
    .flag("domain", "domain", "localhost")
    .variable("KEYVAULT_NAME", "kv--x")
    .variable("NODE_COUNT", "many")
    .variable("LANDFALL_SIM_SPEED", "fast");
    insta::assert_snapshot!(call.messages(), @r#"
    landfall.toml:1: unknown key `domian`
    landfall.toml:3: `cluster.nodes` is the text "two", but must be a whole number from 0 up
    LANDFALL_SIM_SPEED: "fast" is not a speed
    --domain: "localhost" is not a domain: it has only one label
    KEYVAULT_NAME: "kv--x" is not a vault's name: it contains two hyphens in a row
    NODE_COUNT: "many" is not a whole number
    landfall.toml:4: cluster.service_cidr = 10.0.4.0/22 overlaps network.address_space = 10.0.0.0/16 (the default)
    landfall.toml:4: 10.0.4.0/22 does not contain cluster.dns_service_ip = 10.1.0.10 (the default)
    landfall.toml:6: canary.stable = 80 and canary.canary = 10 (the default) add up to 90, not 100
    "#);
}

#[test]
fn on_azure_the_default_is_the_users_kubeconfig() {
    let call = Call { file: "cloud = \"azure\"\n", ..Call::default() };
    let config = call.variable("HOME", "/home/me").load().ok().unwrap();
    assert_eq!(config.settings.kubeconfig, Path::new("/home/me/.kube/config"));
    let messages = Call { file: "cloud = \"azure\"\n", ..Call::default() }.messages();
    assert_eq!(messages, "HOME: is not set, so there is no ~/.kube/config");
}

#[test]
fn endpoints_are_for_azure_and_https() {
    let file = "[endpoints]\narm = \"https://management.example\"\n";
    let messages = Call { file, ..Call::default() }.messages();
    assert_eq!(messages, "landfall.toml:1: [endpoints] is only for Azure, but cloud is sim");
    let file = "cloud = \"azure\"\nkubeconfig = \"k\"\n[endpoints]\narm = \"http://management.example\"\n";
    let messages = Call { file, ..Call::default() }.messages();
    assert_eq!(messages, "landfall.toml:4: \"http://management.example\" is not an https:// address");
}

#[test]
fn an_endpoint_consists_of_an_origin_only() {
    for file in [
        "cloud = \"azure\"\nkubeconfig = \"k\"\n[endpoints]\narm = \"https://management.azure.com@evil.example\"\n",
        "cloud = \"azure\"\nkubeconfig = \"k\"\n[endpoints]\narm = \"https://evil.example/https://management.azure.com\"\n",
        "cloud = \"azure\"\nkubeconfig = \"k\"\n[endpoints]\nlogin = \"https://login.example?to=evil\"\n",
        "cloud = \"azure\"\nkubeconfig = \"k\"\n[endpoints]\nlogin = \"https://login.example#evil\"\n",
    ] {
        let messages = Call { file, ..Call::default() }.messages();
        assert!(messages.starts_with("landfall.toml:4: the address has an unused part"), "{messages}");
    }
    for suffix in
        ["", ".", "net", "vault.example/x", "vault.example:443", "a@vault.example", "vault..example"]
    {
        let file =
            format!("cloud = \"azure\"\nkubeconfig = \"k\"\n[endpoints]\nvault_suffix = \"{suffix}\"\n");
        let messages = Call { file: file.leak(), ..Call::default() }.messages();
        assert_eq!(messages, format!("landfall.toml:4: \"{suffix}\" is not a domain"));
    }
}

#[test]
fn an_unusable_certificate_prevents_only_apply() {
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.pem");
    std::fs::write(&path, pem).unwrap();
    let path = path.display().to_string();
    let make = Call::default().flag("certificate.pfx", "pfx", &path);
    let messages = make.load().err().unwrap();
    assert_eq!((messages.len(), &messages[0].place), (1, &Place::Flag("pfx")));
    assert!(messages[0].message.contains("PEM") && messages[0].hint.contains("openssl"), "{messages:?}");
    let inspect = Call { mode: Some(Mode::Inspect), ..make };
    assert!(inspect.load().is_ok());
}

fn written(material: &landfall_cloud::certificate::Material) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), material.pfx().expose()).unwrap();
    file
}

#[test]
fn a_password_comes_from_the_variable_or_a_prompt_and_a_wrong_one_is_reported_with_its_source() {
    let material = landfall_cloud::certificate::Material::self_signed("demo.example.com", 30).unwrap();
    let file = written(&material);
    let path = file.path().display().to_string();
    let password = material.password().expose().clone();
    let given = Sourced { value: path, key: "certificate.pfx", place: Place::Flag("pfx") };
    let prompts = AtomicUsize::new(0);
    let ask = |_: &str| {
        prompts.fetch_add(1, Ordering::Relaxed);
        Some(password.clone())
    };
    let opened = |set: Option<&str>, ask: certificate::Ask<'_>| {
        let place = Place::Environment("SSL_PFX_PASSWORD");
        let set = set.map(|set| Sourced { value: set.to_owned(), key: "certificate.password", place });
        certificate::pfx(&given, file.path(), set.as_ref(), ask)
    };
    assert!(opened(Some(&password), &|_| None).is_ok());
    let wrong = opened(Some("wrong"), &ask).err().unwrap();
    assert_eq!(wrong.place, Place::Environment("SSL_PFX_PASSWORD"));
    assert_eq!(prompts.load(Ordering::Relaxed), 0);
    if !password.is_empty() {
        assert!(opened(None, &ask).is_ok());
        assert_eq!(prompts.load(Ordering::Relaxed), 1);
        assert!(opened(None, &|_| None).err().unwrap().message.contains("none is set"));
    }
}

#[test]
fn a_certificate_has_to_cover_the_hosts_and_be_valid_now() {
    let material = || landfall_cloud::certificate::Material::self_signed("other.example.com", 30).unwrap();
    let file = written(&material());
    let place = Place::Environment("SSL_PFX_PATH");
    let given = Sourced { value: "site.pfx".to_owned(), key: "certificate.pfx", place };
    let now = Timestamp::now();
    let suits = |domain: &str, now| {
        certificate::suits(&given, file.path(), material(), &Settings::hosts_of(domain, None), now)
    };
    assert!(suits("other.example.com", now).is_ok());
    assert!(suits("demo.example.com", now).err().unwrap().message.contains("httpbin.demo.example.com"));
    assert!(suits("other.example.com", now + jiff::SignedDuration::from_hours(24 * 60)).is_err());
}

#[test]
fn a_certificate_has_to_cover_the_hosts_of_the_own_folder_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: shop}\nspec:\n  \
                   gatewayClassName: approuting-istio\n  listeners:\n  - {name: https, port: 443, protocol: HTTPS, \
                   hostname: \"HOST\", tls: {certificateRefs: [{name: gateway-tls-secret}]}}\n";
    let material = landfall_cloud::certificate::Material::self_signed("demo.example.com", 30).unwrap();
    let file = written(&material);
    let password: &'static str = material.password().expose().clone().leak();
    let loaded = |host: &str| {
        std::fs::write(folder.path().join("shop.yaml"), gateway.replace("HOST", host)).unwrap();
        let call = Call::default().variable("SSL_PFX_PASSWORD", password);
        let call = call.flag("manifests", "manifests", &folder.path().display().to_string());
        let call = call.flag("certificate.pfx", "pfx", &file.path().display().to_string());
        let call = call.variable("DOMAIN_NAME", "other.example.com");
        Call { now: Some(Timestamp::now()), ..call }
            .load()
            .map(drop)
            .map_err(|errors| errors[0].message.clone())
    };
    // The built-in hosts below the domain do not count.
    assert_eq!(loaded("shop.demo.example.com"), Ok(()));
    let refused = loaded("shop.__DOMAIN_NAME__").unwrap_err();
    assert!(refused.contains("use the certificate for shop.other.example.com: it covers"), "{refused}");
}

#[test]
fn an_invalid_manifest_is_reported_with_file_document_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\nkind: Service\nmetadata:\n  name: b\n";
    std::fs::write(folder.path().join("10-shop.yaml"), text).unwrap();
    let path = folder.path().display().to_string();
    let messages = Call::default().flag("manifests", "manifests", &path).load().err().unwrap();
    let message = &messages[0].message;
    assert!(message.contains("10-shop.yaml") && message.contains("document 2"), "{message}");
}

#[test]
fn every_setting_with_a_flag_or_variable_is_one_of_the_file() {
    let schema = schema::schema();
    let known = |key: &str| {
        let leaf = key.split('.').try_fold(&schema, |at, part| at["properties"].get(part));
        assert!(leaf.is_some(), "{key} is not in the schema");
    };
    sources::ENVIRONMENT.iter().for_each(|(key, _)| known(key));
}

#[test]
fn each_mistake_of_an_acme_server_is_reported_at_its_place() {
    let file = "[certificate]\nissuer = \"acme\"\n[certificate.acme]\ndirectory = \"http://ca.example/dir\"\n\
                names = [\"demo.example.com\", \"a_b.example.com\"]\nemail = \"ops\"\neab_kid = \"kid-1\"\n\
                propagation = \"soon\"\n";
    let call = Call { file, ..Call::default() }.variable("ACME_EAB_KEY", "not base64!");
    insta::assert_snapshot!(call.messages(), @r#"
    landfall.toml:4: the directory http://ca.example/dir is not an https address
    landfall.toml:5: "a_b.example.com" is not a DNS name
    landfall.toml:6: "ops" is not one mail address
    ACME_EAB_KEY: the key of the external account binding is not base64url
    landfall.toml:8: "soon" is not a wait for DNS records
    "#);
    let uncovered = "[certificate]\nissuer = \"acme\"\n[certificate.acme]\nnames = [\"demo.example.com\"]\n";
    let messages = Call { file: uncovered, ..Call::default() }.messages();
    assert!(
        messages.starts_with("landfall.toml:4: the names do not cover httpbin.demo.example.com"),
        "{messages}"
    );
    let unused = "[certificate.acme]\nemail = \"a@b.example\"\n";
    let messages = Call { file: unused, ..Call::default() }.messages();
    assert_eq!(
        messages,
        "landfall.toml:1: [certificate.acme] has no effect: certificate.issuer is \"self-signed\""
    );
    let both =
        Call::default().flag("certificate.issuer", "issuer", "acme").flag("certificate.pfx", "pfx", "x.pfx");
    assert_eq!(both.messages(), "--pfx: a PFX file is set, and certificate.issuer is \"acme\"");
}

#[test]
fn acme_rehearses_at_the_production_server_alone_and_an_unknown_server_needs_consent() {
    let loaded = |call: Call| call.load().ok().unwrap();
    let config = loaded(Call::default().flag("certificate.issuer", "issuer", "acme"));
    assert!(config.settings.certificate.acme.unwrap().rehearse);
    let staging =
        Call::default().flag("certificate.issuer", "issuer", "acme").variable("ACME_DIRECTORY", "staging");
    assert!(!loaded(staging).settings.certificate.acme.unwrap().rehearse);
}
