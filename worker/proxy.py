"""The configuration of Caddy, which lets strangers reach the upload API, and nothing else.

Standard library only: worker/units.py writes it before any package is installed.

https://caddyserver.com/docs/caddyfile
"""

from worker.settings import Web

#: Of the unit pipeline-proxy.service, as systemd has them.
_CERTIFICATE = "/run/credentials/pipeline-proxy.service/interface-certificate"
_STATE = "/var/lib/pipeline-proxy"
#: The page's server refuses what is too large, in words; this is for what it does not count.
_MARGIN_MB = 1
#: For the page's server to let the sender of a body begin (Expect: 100-continue) or to refuse it.
_PERMISSION_SECONDS = 30


def caddyfile(
    web: Web, *, certificate: str = _CERTIFICATE, state: str = _STATE, port: int = 443
) -> str:
    """Return the Caddyfile.

    Args:
        web: The page's settings. With a domain the certificate is obtained by ACME (RFC 8555);
            otherwise it is the stack's own.
        certificate: File of the stack's own certificate and its key.
        state: Folder of the certificates that were obtained.
        port: Where it listens, on all addresses.

    Returns:
        Its text. Paths are compared as the page's server reads them (decoded, with their dots), so
        that nothing that Caddy would clean up reaches another route.
    """
    site = f"{web.domain}:{port}" if web.domain else f"https://:{port}"
    redirects = "" if web.domain else "\tauto_https off\n"
    tls = "" if web.domain else f"\ttls {certificate} {certificate}\n"
    return f"""\
{{
	admin off
	storage file_system {state}
{redirects}	servers {{
		protocols h1 h2
		max_header_size 16KB
		timeouts {{
			read_header 10s
			idle 2m
		}}
	}}
}}

(page) {{
	reverse_proxy 127.0.0.1:{web.port} {{
		header_up Host {{upstream_hostport}}
		transport http {{
			expect_continue_timeout {_PERMISSION_SECONDS}s
		}}
	}}
}}

{site} {{
{tls}	@files {{
		method POST
		vars_regexp {{http.request.uri.path}} ^/upload$
	}}
	@file {{
		method PUT
		vars_regexp {{http.request.uri.path}} ^/upload/.+$
	}}
	@jobs {{
		method GET
		vars_regexp {{http.request.uri.path}} ^/jobs/u[0-9a-f]+(/results/[0-9]+)?$
	}}
	request_header -Cookie
	request_body @files {{
		max_size {_MARGIN_MB + web.max_file_mb * web.max_files}MB
	}}
	request_body @file {{
		max_size {_MARGIN_MB + web.max_file_mb}MB
	}}
	request_body @jobs {{
		max_size 1MB
	}}
	handle @files {{
		import page
	}}
	handle @file {{
		import page
	}}
	handle @jobs {{
		import page
	}}
	respond 404
}}
"""
