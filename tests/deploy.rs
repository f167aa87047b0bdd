//! Holds the files of `deploy/` to what they promise: they parse, their images are pinned, nobody reaches LibreChat except
//! through Tollgate, no secret is written down, stopping waits for the drain, and nginx accepts its file.

#[path = "deploy/files.rs"]
mod files;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use tollgate::config::{ENVIRONMENT, Environment, Flags, Settings};
use tollgate::policy::{Source, compile};

use files::{
    compose, config_map, containers, deploy, ecs, items, kubernetes, kubernetes_documents, number, read, seconds,
    settings, strings, text, unit, yaml,
};

/// The release of LibreChat that Tollgate is held to.
const LIBRECHAT: &str = "ghcr.io/danny-avila/librechat:v0.8.6";

#[test]
fn every_file_parses_and_is_named_in_the_readme() {
    let readme = read("README.md").unwrap();
    for entry in fs::read_dir(deploy("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        match Path::new(&name).extension().and_then(OsStr::to_str) {
            Some("yaml") if name == "kubernetes.yaml" => assert!(kubernetes_documents().unwrap().len() > 3),
            Some("yaml") => drop(yaml(&name, &read(&name).unwrap()).unwrap()),
            Some("json") => drop(serde_json::from_str::<Value>(&read(&name).unwrap()).unwrap()),
            _ => {}
        }
        let helper = name.starts_with('.') || name == "README.md" || name.ends_with(".dockerignore");
        assert!(helper || readme.contains(&name), "deploy/README.md does not say when to take {name}");
    }
}

#[test]
fn every_image_is_pinned() {
    let mut images: Vec<String> = containers().unwrap().into_values().map(|container| container.image).collect();
    let containerfile = read("Containerfile").unwrap();
    let bases = containerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next());
    images.extend(bases.map(str::to_owned));
    assert_eq!(images.len(), 10, "{images:?}");
    for image in images {
        let (name, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
        if name.ends_with("librechat") {
            assert_eq!(image, LIBRECHAT);
        } else if name.ends_with("tollgate") {
            assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{image} is not this version");
        } else {
            let release = tag.split('-').next().unwrap();
            let parts = release.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
            assert!(parts >= 2, "{image} names no release, only `{tag}`");
        }
    }
}

#[test]
fn the_image_is_built_with_the_rust_that_the_package_asks_for() {
    let containerfile = read("Containerfile").unwrap();
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(containerfile.contains(&format!("FROM rust:{rust}.")), "Cargo.toml asks for Rust {rust}");
}

#[test]
fn the_image_has_what_deploy_build_builds() {
    let containerfile = read("Containerfile").unwrap();
    assert!(containerfile.lines().any(|line| line == "RUN deploy/build"));
    assert!(containerfile.contains("rustup component add llvm-tools"));
    let taken = containerfile.lines().find_map(|line| line.strip_prefix("COPY --from=build /build/")).unwrap();
    let built = taken.split(' ').next().unwrap();
    assert!(
        !read("Containerfile.dockerignore").unwrap().lines().any(|line| line == "loadtest"),
        "it trains with the load test"
    );

    let help = Command::new(deploy("build")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains(&format!("{built} --help")), "{built} is not what it says that it builds: {help}");
    // It asks what the load test asks: a change there that it cannot follow shows here.
    let program = read("build").unwrap();
    let scenarios = fs::read_to_string(deploy("../loadtest/bench/scenarios.py")).unwrap();
    let names: Vec<&str> = scenarios
        .split("Scenario(")
        .skip(1)
        .filter_map(|text| text.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    assert_eq!(names, ["pass", "chat", "refused", "models"]);
    assert!(
        names.iter().all(|name| program.contains(&format!("\"{name}\": "))),
        "it does not say how often to ask each"
    );
}

#[test]
fn nobody_reaches_librechat_except_through_tollgate() {
    let containers = containers().unwrap();
    for ((file, name), container) in &containers {
        let published: &[&str] = match (*file, name.as_str()) {
            ("compose", "tollgate") => &["8080:8080"],
            ("kubernetes", "tollgate") => &["8080", "9090"],
            ("ecs", "tollgate") => &["8080"],
            _ => &[],
        };
        assert_eq!(container.ports, published, "{file}: {name}");
    }
    // Beside each other in one network name space, LibreChat listens on loopback.
    for (file, home) in [("kubernetes", "127.0.0.1"), ("ecs", "127.0.0.1"), ("compose", "0.0.0.0")] {
        let librechat = &containers[&(file, "librechat".to_owned())];
        assert_eq!(librechat.plain["HOST"], home, "{file}");
    }
    // Under Compose it listens in a network without a way in, and shares its way out with nobody.
    let compose = compose().unwrap();
    assert_eq!(compose.pointer("/networks/inside/internal"), Some(&json!(true)));
    let networks = |service: &str| strings(compose.pointer(&format!("/services/{service}/networks")));
    assert_eq!(networks("tollgate"), ["outside", "inside"]);
    assert_eq!(networks("librechat"), ["inside", "providers"]);
    assert_eq!((networks("mongodb"), networks("redis")), (vec!["inside".to_owned()], vec!["inside".to_owned()]));
    // In a cluster the Service leads to Tollgate's port, and the policy lets nothing else in.
    let service = kubernetes("Service").unwrap();
    assert_eq!(service.pointer("/spec/ports"), Some(&json!([{"name": "http", "port": 80, "targetPort": "http"}])));
    let network = kubernetes("NetworkPolicy").unwrap();
    let pods = kubernetes("Deployment").unwrap().pointer("/spec/template/metadata/labels").cloned();
    assert_eq!(network.pointer("/spec/podSelector/matchLabels").cloned(), pods);
    assert_eq!(network.pointer("/spec/policyTypes"), Some(&json!(["Ingress"])));
    let admitted: Vec<_> = items(network.pointer("/spec/ingress"))
        .iter()
        .flat_map(|rule| {
            let from = rule.pointer("/from").is_some();
            items(rule.pointer("/ports")).into_iter().map(move |port| (number(&port, "/port"), from))
        })
        .collect();
    assert_eq!(admitted, [(Some(8080), false), (Some(9090), true)], "port, and whether only for some");
}

#[test]
fn tollgate_finds_librechat_and_shares_its_secret() {
    let containers = containers().unwrap();
    for file in ["compose", "kubernetes", "ecs"] {
        let (tollgate, librechat) =
            (&containers[&(file, "tollgate".to_owned())], &containers[&(file, "librechat".to_owned())]);
        for name in ["JWT_SECRET", "MONGO_URI"] {
            assert_eq!(tollgate.environment.get(name), librechat.environment.get(name), "{file}: {name}");
            assert!(tollgate.environment.contains_key(name), "{file}: {name}");
        }
        let upstream = match tollgate.plain.get("TOLLGATE_UPSTREAM") {
            Some(upstream) => upstream.clone(),
            None => text(
                &yaml("settings", &config_map("tollgate-settings").unwrap()["tollgate.yaml"]).unwrap(),
                "/upstream",
            )
            .unwrap(),
        };
        let host = if file == "compose" { "librechat" } else { "127.0.0.1" };
        assert_eq!(upstream, format!("http://{host}:{}", librechat.plain["PORT"]), "{file}");
        assert_eq!(librechat.plain["TRUST_PROXY"], "1", "{file}: Tollgate hands on one address");
        for name in tollgate.environment.keys() {
            assert!(ENVIRONMENT.contains(&name.as_str()), "{file}: tollgate does not read {name}");
        }
    }
    let unit = read("systemd/tollgate.service").unwrap();
    for line in unit.lines().filter_map(|line| line.strip_prefix("Environment=")) {
        let name = line.split('=').next().unwrap();
        assert!(ENVIRONMENT.contains(&name), "systemd: tollgate does not read {name}");
    }
}

#[test]
fn no_secret_is_written_down() {
    for ((file, name), container) in containers().unwrap() {
        for (variable, value) in &container.plain {
            let secret = ["SECRET", "CREDS", "KEY", "TOKEN", "PASSWORD"].iter().any(|word| variable.contains(word));
            assert!(!secret, "{file}: {name}: the value of {variable} stands in the file");
            assert!(!value.contains('@'), "{file}: {name}: {variable} looks as if it held a password");
        }
    }
    let compose = read("compose.yaml").unwrap();
    let example = read("compose.env.example").unwrap();
    let given: BTreeMap<&str, &str> =
        example.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    for (name, value) in &given {
        assert!(*name == "PUBLIC_URL" || value.is_empty(), "compose.env.example gives {name} a value");
        assert!(compose.contains(&format!("${{{name}:")), "compose.yaml does not use {name}");
    }
    for part in compose.split("${").skip(1) {
        let name = part.split([':', '}']).next().unwrap();
        assert!(given.contains_key(name), "compose.env.example lacks {name}");
    }
    assert!(read(".gitignore").unwrap().lines().any(|line| line == "/.env"));
}

/// What limits have counted and the turns that are open are files: lost with the container, spend would be forgotten.
#[test]
fn what_tollgate_keeps_outlives_its_container() {
    const DATA: &str = "/var/lib/tollgate";
    let containerfile = read("Containerfile").unwrap();
    assert!(containerfile.contains(&format!("TOLLGATE_DATA={DATA}\n")));
    assert!(containerfile.contains(&format!("install -d -o 65532 -g 65532 -m 700 {DATA}\n")));

    // A volume with a name of its own, which `down` leaves.
    let compose = compose().unwrap();
    let mounts = strings(compose.pointer("/services/tollgate/volumes"));
    assert!(mounts.contains(&format!("tollgate-data:{DATA}")), "{mounts:?}");
    assert_eq!(compose.pointer("/volumes/tollgate-data"), Some(&json!({})));

    // A claim that the group may write to, and never two pods at once that would count in it.
    let deployment = kubernetes("Deployment").unwrap();
    let pod = deployment.pointer("/spec/template/spec").cloned().unwrap();
    let mount = json!({"name": "data", "mountPath": DATA});
    assert!(items(pod.pointer("/containers/0/volumeMounts")).contains(&mount));
    let claim = kubernetes("PersistentVolumeClaim").unwrap();
    let volume =
        json!({"name": "data", "persistentVolumeClaim": {"claimName": text(&claim, "/metadata/name").unwrap()}});
    assert!(items(pod.pointer("/volumes")).contains(&volume));
    assert_eq!(pod.pointer("/securityContext/fsGroup"), pod.pointer("/containers/0/securityContext/runAsGroup"));
    assert_eq!(claim.pointer("/spec/accessModes"), Some(&json!(["ReadWriteOncePod"])));
    assert_eq!(text(&deployment, "/spec/strategy/type").unwrap(), "Recreate");

    let ecs = ecs().unwrap();
    let volumes = items(ecs.pointer("/volumes"));
    let volume = volumes.iter().find(|volume| text(volume, "/name").unwrap() == "data").unwrap();
    let access = text(volume, "/efsVolumeConfiguration/authorizationConfig/accessPointId").unwrap();
    let mount = json!({"sourceVolume": "data", "containerPath": DATA, "readOnly": false});
    assert!(items(ecs.pointer("/containerDefinitions/0/mountPoints")).contains(&mount));
    assert!(read("README.md").unwrap().contains(&access), "the README does not say that {access} is to be replaced");

    assert_eq!(format!("/var/lib/{}", unit("StateDirectory").unwrap()), DATA);
    assert!(read("systemd/tollgate.service").unwrap().contains(&format!("Environment=TOLLGATE_DATA={DATA}\n")));
}

/// What a stop may take after the drain, in seconds: connections 1, turns 5, counters 5, records 10, background work 2.
const AFTER_THE_DRAIN: u64 = 23;

#[test]
fn stopping_waits_for_the_drain() {
    let drain = seconds(&text(&settings().unwrap(), "/timeouts/drain").unwrap()).unwrap();
    let compose = compose().unwrap();
    let compose = seconds(&text(&compose, "/services/tollgate/stop_grace_period").unwrap()).unwrap();
    let systemd = seconds(&unit("TimeoutStopSec").unwrap()).unwrap();
    let ecs = items(ecs().unwrap().pointer("/containerDefinitions"));
    let ecs = ecs.iter().find_map(|container| number(container, "/stopTimeout")).unwrap();
    for (file, wait) in [("compose", compose), ("systemd", systemd), ("ecs", ecs)] {
        assert!(wait >= drain + AFTER_THE_DRAIN, "{file} waits {wait} s for a drain of {drain} s");
    }
    // A pod's time begins before the pause that lets the Service forget it, and LibreChat ends within it, too.
    let kept = yaml("settings", &config_map("tollgate-settings").unwrap()["tollgate.yaml"]).unwrap();
    let drain = seconds(&text(&kept, "/timeouts/drain").unwrap()).unwrap();
    let pod = kubernetes("Deployment").unwrap().pointer("/spec/template/spec").cloned().unwrap();
    let pause = number(&pod, "/containers/0/lifecycle/preStop/sleep/seconds").unwrap();
    let wait = number(&pod, "/terminationGracePeriodSeconds").unwrap();
    let tollgate = pause + drain + AFTER_THE_DRAIN;
    assert!(wait >= tollgate + 10, "kubernetes waits {wait} s for a pause of {pause} s and a drain of {drain} s");
    // LibreChat is stopped after Tollgate: a sidecar outlives the containers, and ECS stops what others depend on last.
    assert_eq!(text(&pod, "/initContainers/0/name").unwrap(), "librechat");
    assert_eq!(text(&pod, "/initContainers/0/restartPolicy").unwrap(), "Always");
}

#[test]
fn tollgate_runs_without_rights() {
    let containerfile = read("Containerfile").unwrap();
    assert!(containerfile.lines().any(|line| line == "USER 65532:65532"));
    let compose = compose().unwrap();
    assert_eq!(compose.pointer("/services/tollgate/read_only"), Some(&json!(true)));
    assert_eq!(compose.pointer("/services/tollgate/cap_drop"), Some(&json!(["ALL"])));
    let rights = kubernetes("Deployment").unwrap();
    let rights = rights.pointer("/spec/template/spec/containers/0/securityContext").cloned().unwrap();
    assert_eq!(rights.pointer("/readOnlyRootFilesystem"), Some(&json!(true)));
    assert_eq!(rights.pointer("/runAsUser"), Some(&json!(65532)));
    assert_eq!(rights.pointer("/allowPrivilegeEscalation"), Some(&json!(false)));
    assert_eq!(rights.pointer("/capabilities/drop"), Some(&json!(["ALL"])));
    let ecs = ecs().unwrap();
    assert_eq!(ecs.pointer("/containerDefinitions/0/name"), Some(&json!("tollgate")));
    assert_eq!(ecs.pointer("/containerDefinitions/0/readonlyRootFilesystem"), Some(&json!(true)));
    assert_eq!(ecs.pointer("/containerDefinitions/0/user"), Some(&json!("65532:65532")));
}

#[test]
fn kubelet_asks_where_the_admin_plane_listens() {
    let kept = yaml("settings", &config_map("tollgate-settings").unwrap()["tollgate.yaml"]).unwrap();
    assert_eq!(text(&kept, "/admin").unwrap(), "0.0.0.0:9090", "probes come to the pod's address, not to its loopback");
    let pod = kubernetes("Deployment").unwrap();
    let tollgate = pod.pointer("/spec/template/spec/containers/0").cloned().unwrap();
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let asked = tollgate.pointer(&format!("/{probe}/httpGet")).cloned().unwrap();
        assert_eq!(asked, json!({"path": path, "port": "admin"}), "{probe}");
    }
    assert_eq!(tollgate.pointer("/ports/1"), Some(&json!({"name": "admin", "containerPort": 9090})));
    // Everything a variable points at is mounted.
    let mounted: Vec<String> =
        items(tollgate.pointer("/volumeMounts")).iter().map(|mount| text(mount, "/mountPath").unwrap()).collect();
    for variable in items(tollgate.pointer("/env")) {
        if let Ok(path) = text(&variable, "/value") {
            assert!(mounted.iter().any(|mount| path.starts_with(mount)), "nothing is mounted at {path}");
        }
    }
}

#[test]
fn systemd_does_not_try_bad_settings_again() {
    assert_eq!(unit("RestartPreventExitStatus").unwrap(), "64");
    assert_eq!(unit("ExecStart").unwrap(), "/usr/local/bin/tollgate serve");
    assert_eq!(unit("DynamicUser").unwrap(), "yes");
}

// === nginx ===

#[test]
fn nginx_streams_and_never_passes_on_a_forwarded_header() {
    let lines: Vec<String> =
        read("nginx.conf").unwrap().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for wanted in [
        "proxy_pass http://tollgate;",
        "proxy_http_version 1.1;",
        "proxy_buffering off;",
        "proxy_request_buffering off;",
        "proxy_next_upstream off;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_set_header X-Forwarded-Host $host;",
        "# trusted_proxies: [127.0.0.1/32]",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "nginx.conf lacks `{wanted}`");
    }
    let appended = lines.iter().find(|line| line.contains("$proxy_add_x_forwarded_for"));
    assert_eq!(appended, None, "a client's own header would go on");
}

#[test]
fn nginx_accepts_its_file() {
    let Some(nginx) =
        ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].iter().find(|at| Path::new(at).exists())
    else {
        assert_ne!(std::env::var_os("CI").as_deref(), Some(OsStr::new("true")), "nginx is not installed");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    let subject = ["-subj", "/CN=chat.example.edu"];
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-keyout",
            &at("key"),
            "-out",
            &at("crt"),
        ])
        .args(subject)
        .output()
        .unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let site = read("nginx.conf").unwrap();
    let site = site.replace("/etc/nginx/tls/chat.example.edu.crt", &at("crt"));
    let site = site.replace("/etc/nginx/tls/chat.example.edu.key", &at("key"));
    fs::write(home.path().join("site.conf"), site).unwrap();
    let whole = format!("pid {};\nevents {{}}\nhttp {{\n  include {};\n}}\n", at("pid"), at("site.conf"));
    fs::write(home.path().join("nginx.conf"), whole).unwrap();
    let said = Command::new(nginx)
        .args(["-t", "-p", &at(""), "-e", &at("error.log"), "-c", &at("nginx.conf")])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{complaint}");
    assert!(!complaint.contains("[warn]"), "{complaint}");
}

// === what the other rooms say of these files ===

/// The settings of every file that has some, read as `tollgate serve` reads them.
#[test]
fn every_settings_file_is_read_without_a_fault() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let secret = "stands-in-for-the-secret-in-this-test";
    let example = read("tollgate.example.yaml").unwrap();
    let settings = [
        ("deploy/tollgate.example.yaml", example.clone()),
        // What is commented out must be as right as the rest.
        ("deploy/tollgate.example.yaml, uncommented", uncommented(&example)),
        ("loadtest/tollgate.yaml", read("../loadtest/tollgate.yaml").unwrap()),
    ];
    for (name, text) in settings {
        let flags = Flags { config: Some(file("tollgate.yaml", &text)), ..Flags::default() };
        let flags = Flags { policies: Some("policies".into()), ..flags };
        if let Err(report) = Settings::read(&flags, &Environment::of([("JWT_SECRET", secret)])) {
            panic!("{name}: {report}");
        }
    }
    for ((place, name), container) in &containers().unwrap() {
        if name != "tollgate" {
            continue;
        }
        let plain = container.plain.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // Secrets come from elsewhere; whatever else the file says must be right.
        let given = plain.filter(|(name, value)| *name != "TOLLGATE_CONFIG" && !value.contains('$'));
        let given = given.chain([("JWT_SECRET", secret), ("TOLLGATE_POLICIES", "policies")]);
        let environment = Environment::of(given.filter(|(name, _)| ENVIRONMENT.contains(name)));
        if let Err(report) = Settings::read(&Flags::default(), &environment) {
            panic!("{place}: {report}");
        }
    }
}

/// The example with every commented setting put in force.
fn uncommented(example: &str) -> String {
    let setting = |line: &str| {
        let text = line.trim_start();
        let rest = text.strip_prefix("# ")?;
        let key = rest.trim_start().split_once(':')?.0;
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let indent = line.len() - text.len();
        is_key.then(|| format!("{}{rest}", " ".repeat(indent)))
    };
    let lines = example.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n").replace("\"...\"", "\"stands-in-for-the-secret\"")
}

#[test]
fn every_policy_that_is_mounted_compiles() {
    let directory = |path: &Path| -> Vec<Source> {
        let files = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let files = files.map(|file| file.unwrap().path()).filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.ends_with(".yaml") && !name.ends_with(".test.yaml")
        });
        files.map(|file| Source { text: fs::read_to_string(&file).unwrap().into(), path: file }).collect()
    };
    let mounts = strings(compose().unwrap().pointer("/services/tollgate/volumes"));
    let mounted = mounts[0].strip_suffix(":/etc/tollgate/policies:ro").unwrap();
    let cluster = config_map("tollgate-policies").unwrap();
    let cluster = cluster.into_iter().map(|(name, text)| Source { path: name.into(), text: text.into() }).collect();
    let policies = [
        ("deploy/kubernetes.yaml", cluster),
        ("deploy/compose.yaml", directory(&deploy(mounted))),
        ("loadtest/policy", directory(&deploy("../loadtest/policy"))),
        // What the load test with limits puts together.
        (
            "loadtest/policy, loadtest/limits",
            [directory(&deploy("../loadtest/policy")), directory(&deploy("../loadtest/limits"))].concat(),
        ),
    ];
    for (name, sources) in policies {
        assert!(!sources.is_empty(), "{name}: no policy");
        if let Err(report) = compile(&sources) {
            panic!("{name}: {report:?}");
        }
    }
}
