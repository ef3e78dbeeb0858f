"""Serves acme2certifier (PyPI) over HTTPS on 127.0.0.1, with an authority of its own.

Usage: acme2certifier_server.py FOLDER PORT DNS_PORT PERCENT

The folder gets root.pem, to which all certificates lead, and the file "ready". PERCENT is the share of nonces that are refused.
"""

import datetime
import json
import os
import pathlib
import random
import socketserver
import ssl
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

folder, port, dns_port, percent = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
now = datetime.datetime.now(datetime.timezone.utc)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, is_authority):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def write(file, item):
    encoded = item.public_bytes(serialization.Encoding.PEM)
    (folder / file).write_bytes(encoded)
    return encoded


def write_key(file, key):
    form = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / file).write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


root_key = ec.generate_private_key(ec.SECP256R1())
issuing_key = rsa.generate_private_key(65537, 2048)
server_key = ec.generate_private_key(ec.SECP256R1())
write("root.pem", certificate("Test root", root_key, "Test root", root_key, True))
write("issuing.pem", certificate("Test issuer", issuing_key, "Test root", root_key, True))
write("server.pem", certificate("localhost", server_key, "Test root", root_key, False))
write_key("issuing.key", issuing_key)
write_key("server.key", server_key)
revoked = x509.CertificateRevocationListBuilder().issuer_name(name("Test issuer"))
revoked = revoked.last_update(now).next_update(now + datetime.timedelta(days=30))
write("issuing.crl", revoked.sign(issuing_key, hashes.SHA256()))

(folder / "certificates").mkdir(exist_ok=True)
(folder / "kids.json").write_text(json.dumps({"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}))
(folder / "acme_srv.cfg").write_text(f"""
[DEFAULT]
debug: False
dns_server_list: ["127.0.0.1"]
dns_validation_pause_timer: 1

[Account]
contact_check_disable: True

[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {folder}/issuing.key
issuing_ca_cert: {folder}/issuing.pem
issuing_ca_crl: {folder}/issuing.crl
ca_cert_chain_list: ["{folder}/root.pem"]
cert_validity_days: 9
cert_save_path: {folder}/certificates

[DBhandler]
dbfile: {folder}/acme.db

[EABhandler]
eab_handler_module: acme2certifier.eabhandlers.json_handler
key_file: {folder}/kids.json

[Order]
profiles: {{"classic": "the default", "shortlived": "six days"}}

[Renewalinfo]
renewalthreshold_pctg: 66
retry_after_timeout: 21600
""")
os.environ["ACME_SRV_CONFIGFILE"] = str(folder / "acme_srv.cfg")

import dns.resolver  # noqa: E402

# The configuration knows no port.
original = dns.resolver.Resolver.__init__


def with_port(self, *args, **kwargs):
    original(self, *args, **kwargs)
    self.port = dns_port


dns.resolver.Resolver.__init__ = with_port

from acme2certifier.acme_srv.nonce import Nonce  # noqa: E402
from acme2certifier.share import acme2certifier_wsgi  # noqa: E402

check = Nonce.check


def refuse_some(self, protected):
    code, message, detail = check(self, protected)
    if code == 200 and random.randrange(100) < percent:
        return 400, "urn:ietf:params:acme:error:badNonce", "refused by the test"
    return code, message, detail


Nonce.check = refuse_some


class Threaded(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Silent(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def application(environ, start_response):
    environ["wsgi.url_scheme"] = "https"
    return acme2certifier_wsgi.application(environ, start_response)


server = make_server("127.0.0.1", port, application, server_class=Threaded, handler_class=Silent)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder / "server.pem", folder / "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
(folder / "ready").write_text("")
server.serve_forever()
