"""Issues a certificate for an apex and its wildcard with certbot's library."""

import datetime
import json
import sys

import josepy
import requests
from acme import challenges, client, crypto_util, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

facts = json.load(sys.stdin)
proxies = {"https": facts["proxy"]}
names = [facts["zone"], "*." + facts["zone"]]


def azure(method, url, body, headers):
    answer = requests.request(
        method, url, json=body, headers=headers, proxies=proxies, verify=facts["ca"], timeout=30
    )
    answer.raise_for_status()


key = josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048))
network = client.ClientNetwork(key, user_agent="test", verify_ssl=facts["ca"])
network.session.proxies = proxies
directory = client.ClientV2.get_directory(facts["directory"], network)
acme = client.ClientV2(directory, network)
acme.new_account(messages.NewRegistration.from_data(email="a@example.com", terms_of_service_agreed=True))

private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
order = acme.new_order(crypto_util.make_csr(private, names))
found = [
    one
    for authorization in order.authorizations
    for one in authorization.body.challenges
    if isinstance(one.chall, challenges.DNS01)
]
records = [{"value": [one.chall.validation(key)]} for one in found]
bearer = {"authorization": "Bearer " + facts["token"]}
azure("PUT", facts["record"], {"properties": {"TTL": 60, "TXTRecords": records}}, bearer)
azure("POST", facts["advance"], {"seconds": 61}, {"x-landfall-key": facts["key"]})
for one in found:
    acme.answer_challenge(one, one.response(key))
deadline = datetime.datetime.now() + datetime.timedelta(seconds=60)
print(acme.poll_and_finalize(order, deadline).fullchain_pem)
