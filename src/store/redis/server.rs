//! Whether a server can keep counters, by what its `INFO` says.

/// Why it cannot; none where it can.
pub(super) fn unfit(info: &str) -> Option<String> {
    let of = |field: &str| info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim);
    if of("cluster_enabled") == Some("1") || of("redis_mode") == Some("cluster") {
        return Some("the server is one of a cluster, and limits need a single server (replicas are fine)".to_owned());
    }
    if matches!(of("role"), Some("slave" | "replica")) {
        return Some("the server is a replica and cannot be written; name its primary".to_owned());
    }
    let limited = of("maxmemory").is_some_and(|bytes| bytes != "0");
    match of("maxmemory_policy") {
        Some("noeviction") => None,
        Some(policy) if limited => Some(format!(
            "the server evicts keys when its memory is full (maxmemory-policy {policy}), and an evicted counter would begin \
             anew; set `maxmemory-policy noeviction`, or name another server for limits"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_server_that_keeps_what_it_has_is_fit() {
        let rows = [
            (
                "redis_mode:standalone\r\ncluster_enabled:0\r\nrole:master\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
                None,
            ),
            ("role:master\r\nmaxmemory:1000000\r\nmaxmemory_policy:noeviction\r\n", None),
            // Without a limit nothing is ever evicted.
            ("role:master\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", None),
            (
                "role:master\r\nmaxmemory:1000000\r\nmaxmemory_policy:volatile-ttl\r\n",
                Some("maxmemory-policy volatile-ttl"),
            ),
            ("role:master\r\nmaxmemory:1000000\r\nmaxmemory_policy:allkeys-lru\r\n", Some("evicts keys")),
            ("redis_mode:cluster\r\nrole:master\r\n", Some("one of a cluster")),
            ("# Cluster\r\ncluster_enabled:1\r\n", Some("one of a cluster")),
            ("role:slave\r\nmaster_host:db1\r\n", Some("a replica")),
        ];
        for (info, expected) in rows {
            let found = unfit(info);
            match expected {
                None => assert_eq!(found, None, "{info}"),
                Some(part) => assert!(found.as_deref().is_some_and(|why| why.contains(part)), "{info}: {found:?}"),
            }
        }
    }
}
