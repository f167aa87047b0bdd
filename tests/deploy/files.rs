//! Reads the files of `deploy/` into values and into one shape of container, for the tests in `tests/deploy.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// A container of a deployment, in one shape whatever file it comes from.
pub(crate) struct Container {
    pub(crate) image: String,
    /// Variables: a text, or where the value is taken from.
    pub(crate) environment: BTreeMap<String, String>,
    /// Variables whose value stands in the file.
    pub(crate) plain: BTreeMap<String, String>,
    /// Ports that others than the pod's or the network's own containers may reach.
    pub(crate) ports: Vec<String>,
}

/// The containers of the three files, by file and name.
pub(crate) fn containers() -> Result<BTreeMap<(&'static str, String), Container>, Failure> {
    let mut containers = BTreeMap::new();
    for (name, service) in members(&compose()?, "/services")? {
        let environment = texts(service.pointer("/environment"));
        let plain = environment.clone().into_iter().filter(|(_, value)| !value.starts_with("${")).collect();
        let ports = strings(service.pointer("/ports"));
        containers.insert(("compose", name), Container { image: text(&service, "/image")?, environment, plain, ports });
    }
    let deployment = kubernetes("Deployment")?;
    for part in ["initContainers", "containers"] {
        for container in items(deployment.pointer(&format!("/spec/template/spec/{part}"))) {
            let (mut environment, mut plain) = (BTreeMap::new(), BTreeMap::new());
            for variable in items(container.pointer("/env")) {
                let name = text(&variable, "/name")?;
                if let Ok(value) = text(&variable, "/value") {
                    plain.insert(name.clone(), value.clone());
                    environment.insert(name, value);
                } else {
                    let source = variable.pointer("/valueFrom/secretKeyRef").ok_or("a variable without a source")?;
                    environment.insert(name, source.to_string());
                }
            }
            let ports = container_ports(&container, "/ports");
            let image = text(&container, "/image")?;
            containers
                .insert(("kubernetes", text(&container, "/name")?), Container { image, environment, plain, ports });
        }
    }
    for container in items(ecs()?.pointer("/containerDefinitions")) {
        let pairs = |list: &str, value: &str| -> Result<BTreeMap<String, String>, Failure> {
            items(container.pointer(list)).iter().map(|item| Ok((text(item, "/name")?, text(item, value)?))).collect()
        };
        let plain = pairs("/environment", "/value")?;
        let mut environment = pairs("/secrets", "/valueFrom")?;
        environment.extend(plain.clone());
        let ports = container_ports(&container, "/portMappings");
        let image = text(&container, "/image")?;
        containers.insert(("ecs", text(&container, "/name")?), Container { image, environment, plain, ports });
    }
    Ok(containers)
}

/// The ports that a container of a pod or a task opens.
pub(crate) fn container_ports(container: &Value, list: &str) -> Vec<String> {
    let ports = items(container.pointer(list));
    ports.iter().filter_map(|port| number(port, "/containerPort")).map(|port| port.to_string()).collect()
}

pub(crate) fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

pub(crate) fn read(name: &str) -> Result<String, Failure> {
    fs::read_to_string(deploy(name)).map_err(|error| format!("deploy/{name}: {error}").into())
}

pub(crate) fn yaml(name: &str, text: &str) -> Result<Value, Failure> {
    serde_saphyr::from_str(text).map_err(|error| format!("{name}: {error}").into())
}

pub(crate) fn compose() -> Result<Value, Failure> {
    yaml("deploy/compose.yaml", &read("compose.yaml")?)
}

pub(crate) fn ecs() -> Result<Value, Failure> {
    Ok(serde_json::from_str(&read("ecs-task.json")?)?)
}

pub(crate) fn settings() -> Result<Value, Failure> {
    yaml("deploy/tollgate.example.yaml", &read("tollgate.example.yaml")?)
}

pub(crate) fn kubernetes_documents() -> Result<Vec<Value>, Failure> {
    let text = read("kubernetes.yaml")?;
    serde_saphyr::from_multiple(&text).map_err(|error| format!("deploy/kubernetes.yaml: {error}").into())
}

/// The one document of a kind.
pub(crate) fn kubernetes(kind: &str) -> Result<Value, Failure> {
    let mut found = kubernetes_documents()?;
    found.retain(|document| document.pointer("/kind") == Some(&json!(kind)));
    match found.pop() {
        Some(document) if found.is_empty() => Ok(document),
        _ => Err(format!("deploy/kubernetes.yaml: not exactly one {kind}").into()),
    }
}

/// The files of a ConfigMap.
pub(crate) fn config_map(name: &str) -> Result<BTreeMap<String, String>, Failure> {
    let found = kubernetes_documents()?.into_iter().find(|document| {
        document.pointer("/kind") == Some(&json!("ConfigMap"))
            && document.pointer("/metadata/name") == Some(&json!(name))
    });
    Ok(texts(found.ok_or(format!("no ConfigMap {name}"))?.pointer("/data")))
}

pub(crate) fn members(value: &Value, pointer: &str) -> Result<Vec<(String, Value)>, Failure> {
    let members = value.pointer(pointer).and_then(Value::as_object).ok_or(format!("no mapping at {pointer}"))?;
    Ok(members.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

pub(crate) fn items(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}

pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    items(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(crate) fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

pub(crate) fn text(value: &Value, pointer: &str) -> Result<String, Failure> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.ok_or_else(|| format!("no text at {pointer} of {value}"))?.to_owned())
}

pub(crate) fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// The seconds of `30s`.
pub(crate) fn seconds(text: &str) -> Result<u64, Failure> {
    Ok(text.strip_suffix('s').ok_or(format!("`{text}` is not in seconds"))?.parse()?)
}

/// The value of a `Name=value` line of the systemd unit, which has one such line.
pub(crate) fn unit(name: &str) -> Result<String, Failure> {
    let text = read("systemd/tollgate.service")?;
    let values: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect();
    match values.as_slice() {
        [value] => Ok((*value).to_owned()),
        _ => Err(format!("{name} stands {} times in the unit", values.len()).into()),
    }
}
