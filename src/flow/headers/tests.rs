use super::*;

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_untrusted_peer_says_nothing_about_itself() {
    let headers = map(&[
        ("host", "chat.example.org"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
    ]);
    let client = Client::of(ip("203.0.113.9"), &headers, &["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(
        client,
        Client {
            ip: ip("203.0.113.9"),
            address: HeaderValue::from_static("203.0.113.9"),
            proto: "http",
            host: HeaderValue::from_static("chat.example.org")
        }
    );
}

#[test]
fn behind_trusted_proxies_the_client_is_the_last_untrusted_address() {
    let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    for (name, chain, wanted) in [
        ("one hop", vec!["198.51.100.7"], "198.51.100.7"),
        ("spoofed left part", vec!["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("two proxies", vec!["6.6.6.6, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("two lines", vec!["6.6.6.6", "198.51.100.7", "10.1.2.3"], "198.51.100.7"),
        ("IPv6", vec!["2001:db9::1"], "2001:db9::1"),
        ("mapped IPv4", vec!["::ffff:198.51.100.7"], "198.51.100.7"),
        ("unreadable", vec!["198.51.100.7, unknown"], "10.0.0.1"),
        ("unreadable in the middle", vec!["6.6.6.6, x, 10.9.9.9"], "10.9.9.9"),
        ("all trusted", vec!["10.1.1.1"], "10.1.1.1"),
        ("none", vec![], "10.0.0.1"),
    ] {
        let mut pairs = vec![("host", "h")];
        pairs.extend(chain.iter().map(|line| ("x-forwarded-for", *line)));
        let client = Client::of(ip("10.0.0.1"), &map(&pairs), &trusted);
        assert_eq!((client.ip, client.address.to_str().unwrap()), (ip(wanted), wanted), "{name}");
    }
    let headers =
        map(&[("host", "inner"), ("x-forwarded-proto", "http, HTTPS"), ("x-forwarded-host", "chat.example.org")]);
    let client = Client::of(ip("::ffff:10.0.0.1"), &headers, &trusted);
    assert_eq!((client.proto, client.host), ("https", HeaderValue::from_static("chat.example.org")));
}

#[test]
fn forty_ways_of_speaking_for_the_proxy_do_not_arrive() {
    let spoofed = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Uri",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-Host",
        "X-Tenant-Id",
        "X-Request-Id",
        "X-Correlation-Id",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "HTTP2-Settings",
        "X_Forwarded_For",
        "X_FORWARDED_HOST",
        "x_tenant_id",
        "X_Real_IP",
        "x_request_id",
        "X-Forwarded_Proto",
        "x_http_method_override",
    ];
    assert_eq!(spoofed.len(), 40);
    let client = Client {
        ip: ip("198.51.100.7"),
        address: HeaderValue::from_static("198.51.100.7"),
        proto: "https",
        host: HeaderValue::from_static("chat.example.org"),
    };
    let id = Uuid::from_u128(7);
    for name in spoofed {
        let mut headers =
            map(&[("host", "chat.example.org"), (name, "spoof"), (name, "spoof again"), ("accept", "*/*")]);
        towards_librechat(&mut headers, &client, id);
        for (name, value) in &headers {
            assert!(!value.as_bytes().starts_with(b"spoof"), "{name}: {value:?}");
        }
        assert_eq!(headers["x-forwarded-for"], "198.51.100.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "chat.example.org");
        assert_eq!(headers["x-request-id"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(headers["accept"], "*/*");
    }
}

#[test]
fn connection_names_its_own_fields_but_not_what_was_judged() {
    let client = Client {
        ip: ip("127.0.0.1"),
        address: HeaderValue::from_static("127.0.0.1"),
        proto: "http",
        host: HeaderValue::from_static("h"),
    };
    let mut headers = map(&[
        ("host", "h"),
        ("connection", "close, x-private, authorization"),
        ("connection", "cookie, x-forwarded-for, x-request-id"),
        ("x-private", "1"),
        ("authorization", "Bearer a"),
        ("cookie", "a=b"),
    ]);
    towards_librechat(&mut headers, &client, Uuid::nil());
    assert!(!headers.contains_key("connection") && !headers.contains_key("x-private"), "{headers:?}");
    assert_eq!(headers["authorization"], "Bearer a");
    assert_eq!(headers["cookie"], "a=b");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
}

#[test]
fn answers_lose_only_what_concerns_the_connection() {
    let mut headers = map(&[
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("x-hop", "1"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("etag", "W/\"1\""),
    ]);
    towards_client(&mut headers);
    assert_eq!(headers, map(&[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("etag", "W/\"1\"")]));
}

#[test]
fn a_length_beside_chunks_is_not_passed_on() {
    let mut headers = map(&[("content-length", "99"), ("transfer-encoding", "chunked"), ("etag", "W/\"1\"")]);
    towards_client(&mut headers);
    assert_eq!(headers, map(&[("etag", "W/\"1\"")]));
    let mut headers = map(&[("content-length", "99")]);
    towards_client(&mut headers);
    assert_eq!(headers, map(&[("content-length", "99")]), "a length alone is the length");
}

#[test]
fn addresses_are_written_as_the_library_writes_them() {
    let mut addresses: Vec<IpAddr> = (0..=255).map(|octet| IpAddr::from([octet, 255 - octet, octet / 2, 7])).collect();
    addresses.extend([ip("0.0.0.0"), ip("255.255.255.255"), ip("2001:db8::1"), ip("::")]);
    for address in addresses {
        assert_eq!(written(address).to_str().unwrap(), address.to_string());
    }
}
