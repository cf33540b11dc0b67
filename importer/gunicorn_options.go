package importer

// gunicornFlags are the short names and the synonyms of the command line.
var gunicornFlags = map[string]string{
	"b": "bind", "w": "workers", "k": "worker_class", "t": "timeout", "c": "config", "e": "env", "n": "proc_name",
	"u": "user", "g": "group", "m": "umask", "p": "pidfile", "D": "daemon", "R": "enable_stdio_inheritance",
	"access-logfile": "accesslog", "error-logfile": "errorlog", "log-file": "errorlog", "log-level": "loglevel",
	"env": "raw_env", "paste": "paste", "pid": "pidfile", "name": "proc_name", "preload": "preload_app",
	"forwarded-allow-ips": "forwarded_allow_ips", "keep-alive": "keepalive", "access-logformat": "access_log_format",
	"proxy-allow-from": "proxy_allow_ips", "log-config": "logconfig", "log-config-json": "logconfig_dict",
	"log-syslog": "syslog", "log-syslog-to": "syslog_addr", "log-syslog-prefix": "syslog_prefix", "log-syslog-facility": "syslog_facility",
	"reload-extra-file": "reload_extra_files",
}

// gunicornSwitches take no value.
var gunicornSwitches = []string{"reload", "daemon", "preload_app", "spew", "check_config", "print_config", "no_sendfile",
	"reuse_port", "proxy_protocol", "capture_output", "enable_stdio_inheritance", "initgroups", "disable_redirect_access_to_syslog",
	"do_handshake_on_connect", "suppress_ragged_eofs", "strip_header_spaces", "permit_obsolete_folding", "permit_unconventional_http_method",
	"permit_unconventional_http_version", "casefold_http_method", "syslog", "no_control_socket", "tolerate_dangerous_framing"}

// gunicornNone says what becomes of the rest.
var gunicornNone = map[string]string{
	"backlog":            "requests wait in a queue for each application: queue.size, queue.timeout",
	"worker_connections": "not needed: connections are the front's, and take no worker",
	"daemon":             "not needed: systemd, or the shell, keeps frontd",
	"pidfile":            "frontd status and systemd know the pid",
	"proc_name":          "processes carry the names of their applications",
	"default_proc_name":  "processes carry the names of their applications",
	"worker_tmp_dir":     "no heartbeat file is needed",
	"limit_request_line": "the bounds of a request's head are fixed", "limit_request_fields": "the bounds of a request's head are fixed",
	"limit_request_field_size": "the bounds of a request's head are fixed",
	"capture_output":           "always: what workers print goes to the log",
	"access_log_format":        "the line's form is fixed; log.format = \"json\" is for programs",
	"logconfig":                "see [log]", "logconfig_dict": "see [log]", "logger_class": "see [log]", "syslog": "stderr, where systemd collects lines",
	"syslog_addr": "stderr, where systemd collects lines", "syslog_prefix": "stderr, where systemd collects lines", "syslog_facility": "stderr, where systemd collects lines",
	"statsd_host": "metrics are Prometheus': see [metrics]", "statsd_prefix": "metrics are Prometheus': see [metrics]", "dogstatsd_tags": "metrics are Prometheus': see [metrics]",
	"secure_scheme_headers": "X-Forwarded-Proto of trusted_proxies is believed, no other", "forwarder_headers": "names with _ never pose as names with -",
	"proxy_protocol": "not spoken", "sendfile": "files are sent by the front", "no_sendfile": "files are sent by the front",
	"permit_obsolete_folding": "a folded header is refused", "tolerate_dangerous_framing": "a framing that two may read differently is refused", "suppress_ragged_eofs": "TLS that is cut off is a client that went away",
	"reuse_port": "not needed: frontd alone listens", "initgroups": "always, with user",
	"enable_stdio_inheritance": "always: what workers print goes to the log",
	"check_config":             "frontd check", "print_config": "frontd config show", "spew": "no counterpart",
	"reload_engine": "start with frontd serve --dev while you develop", "reload_extra_files": "start with frontd serve --dev while you develop",
	"tmp_upload_dir": "bodies go to unnamed files in $TMPDIR", "paste": "name a module that loads the .ini: target = \"MODULE:CALLABLE\"",
	"strip_header_spaces": "a header with a space before its colon is refused", "permit_unconventional_http_method": "methods are tokens as RFC 9110 has them",
	"permit_unconventional_http_version": "HTTP/1.0 and 1.1", "casefold_http_method": "methods are as they are sent",
	"header_map": "names with _ never pose as names with -",
}
