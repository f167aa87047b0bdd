//! The embedded store in a directory of its own, changed by a second handle, as the command line does beside the proxy.

use async_trait::async_trait;
use serde_json::Value;
use tollgate::store::embedded::{Account, Embedded, FILE};
use tollgate::store::overrides::Overrides;
use tollgate::store::{Directory, Ledger, Person};
use uuid::Uuid;

use super::{Bench, GROUPS, USERS};

struct EmbeddedBench {
    dir: tempfile::TempDir,
    store: Embedded,
    beside: Embedded,
}

/// Runs a check against a store with the captured people in it.
pub(crate) async fn with(check: impl AsyncFnOnce(&dyn Bench)) {
    let dir = tempfile::tempdir().unwrap();
    let (store, beside) = (Embedded::open(dir.path()).unwrap(), Embedded::open(dir.path()).unwrap());
    captured_people().iter().for_each(|person| beside.put_person(person).unwrap());
    check(&EmbeddedBench { dir, store, beside }).await;
}

fn captured_people() -> Vec<Person> {
    let (users, groups): (Value, Value) = (serde_json::from_str(USERS).unwrap(), serde_json::from_str(GROUPS).unwrap());
    let person = |user: &Value| {
        let id = user["_id"]["$oid"].as_str().unwrap();
        let is_member = |group: &&Value| group["memberIds"].as_array().unwrap().contains(&id.into());
        Person {
            id: id.into(),
            email: user["email"].as_str().map(Box::from),
            role: user["role"].as_str().map(Box::from),
            groups: groups
                .as_array()
                .unwrap()
                .iter()
                .filter(is_member)
                .map(|group| group["name"].as_str().unwrap().into())
                .collect(),
        }
    };
    users.as_array().unwrap().iter().map(person).collect()
}

impl EmbeddedBench {
    fn edit(&self, id: &str, edit: impl FnOnce(&mut Person)) {
        let mut person = self.beside.find_person(id).unwrap().unwrap();
        edit(&mut person);
        self.beside.put_person(&person).unwrap();
    }

    fn ids(&self, table: &str) -> Vec<u128> {
        let file = rusqlite::Connection::open(self.dir.path().join(FILE)).unwrap();
        let mut ids = file.prepare(&format!("SELECT id FROM {table} ORDER BY rowid")).unwrap();
        let ids = ids.query_map([], |row| row.get::<_, String>(0)).unwrap();
        ids.map(|id| Uuid::parse_str(&id.unwrap()).unwrap().as_u128()).collect()
    }
}

#[async_trait]
impl Bench for EmbeddedBench {
    fn directory(&self) -> &dyn Directory {
        &self.store
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.store
    }

    fn overrides(&self) -> &dyn Overrides {
        &self.store
    }

    async fn change(&self, id: &str, role: Option<&str>, email: Option<&str>) {
        self.edit(id, |person| (person.role, person.email) = (role.map(Box::from), email.map(Box::from)));
    }

    async fn remove(&self, id: &str) {
        assert!(self.beside.remove_person(id).unwrap());
    }

    async fn join(&self, id: &str, group: &str) {
        self.edit(id, |person| person.groups.push(group.into()));
    }

    async fn leave(&self, id: &str, group: &str) {
        self.edit(id, |person| person.groups.retain(|name| &**name != group));
    }

    async fn link(&self, id: &str, account: Option<(&str, &str)>) {
        let account = account.map(|(issuer, subject)| Account { issuer: issuer.into(), subject: subject.into() });
        self.beside.link_person(id, account.as_ref()).unwrap();
    }

    async fn stored(&self) -> (Vec<u128>, Vec<u128>) {
        (self.ids("audit"), self.ids("usage_events"))
    }

    async fn write_override(&self, id: &str, depth: usize, bytes: usize) {
        let text = format!("{}\"{}\"{}", "{\"a\":".repeat(depth), "x".repeat(bytes), "}".repeat(depth));
        let file = rusqlite::Connection::open(self.dir.path().join(FILE)).unwrap();
        let written = "INSERT INTO overrides (kind, id, priority, overrides, is_active, config_version, updated_at)
             VALUES ('user', ?1, 30, ?2, 0, (SELECT max(config_version) + 1 FROM overrides), 0)";
        file.execute(written, (id, text)).unwrap();
    }

    async fn lose_entries(&self) {
        let file = rusqlite::Connection::open(self.dir.path().join(FILE)).unwrap();
        file.execute("DELETE FROM usage_events", []).unwrap();
    }

    async fn spoil_day(&self, key: &str) {
        let file = rusqlite::Connection::open(self.dir.path().join(FILE)).unwrap();
        let spoilt = file.execute("UPDATE usage_daily SET sums = 'xx', day = '2026-11-2x' WHERE key = ?1", [key]);
        assert_eq!(spoilt.unwrap(), 1);
    }

    async fn raw(&self) -> String {
        let file = rusqlite::Connection::open(self.dir.path().join(FILE)).unwrap();
        let mut all = String::new();
        for table in ["audit", "usage_events", "heads", "usage_daily", "spent", "poured"] {
            let mut rows = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = rows.column_count();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..columns {
                    let value: rusqlite::types::Value = row.get(column).unwrap();
                    all.push_str(&format!("{value:?} "));
                }
            }
        }
        all
    }
}
