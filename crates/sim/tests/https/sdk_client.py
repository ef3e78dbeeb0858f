"""Creates, reads and deletes what a deployment has with Azure's Python SDK, each client with its default api-version.

The facts of the cloud come from standard input; the result is one line of JSON: per client, what was read.
"""

import importlib.metadata
import json
import os
import sys

facts = json.load(sys.stdin)
os.environ.update(
    HTTPS_PROXY=facts["proxy"], REQUESTS_CA_BUNDLE=facts["ca"], SSL_CERT_FILE=facts["ca"], NO_PROXY="127.0.0.1"
)

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.keyvault.certificates import CertificateClient, CertificatePolicy
from azure.keyvault.secrets import SecretClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.dns import DnsManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.features import FeatureClient
from azure.mgmt.resource.locks import ManagementLockClient
from azure.mgmt.resource.policy import PolicyClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

credential = ClientSecretCredential(
    facts["tenant"],
    facts["client"],
    facts["secret"],
    authority=facts["authority"],
    disable_instance_discovery=True,
)
common = {"base_url": facts["arm"], "credential_scopes": [facts["audience"] + "/.default"]}
subscription = facts["subscription"]
arm = {**common, "polling_interval": 0.05}
seen = {}


def reads(package, value):
    """Keeps a value that a client read, under the package and its version."""
    seen.setdefault(f"{package} {importlib.metadata.version(package)}", []).append(value)


def refused(call):
    """Returns status and code of the refusal of a call."""
    try:
        call()
    except HttpResponseError as error:
        return [error.status_code, error.error.code if error.error else None]
    raise AssertionError("a call was not refused")


subscriptions = SubscriptionClient(credential, **common)
reads("azure-mgmt-resource-subscriptions", [one.state for one in subscriptions.subscriptions.list()])

groups = ResourceManagementClient(credential, subscription, **arm)
groups.resource_groups.create_or_update("rg-sdk", {"location": "eastus", "tags": {"by": "sdk"}})
reads("azure-mgmt-resource", groups.resource_groups.get("rg-sdk").tags["by"])
groups.providers.register("Microsoft.ContainerService")
reads("azure-mgmt-resource", groups.providers.get("Microsoft.ContainerService").namespace)

features = FeatureClient(credential, subscription, **common)
reads("azure-mgmt-resource-features", refused(lambda: features.features.get("Microsoft.ContainerService", "None")))

network = NetworkManagementClient(credential, subscription, **arm)
network.virtual_networks.begin_create_or_update(
    "rg-sdk", "vnet", {"location": "eastus", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
).result()
subnet = network.subnets.begin_create_or_update("rg-sdk", "vnet", "snet", {"properties": {"addressPrefix": "10.0.0.0/22"}}).result()
reads("azure-mgmt-network", subnet.provisioning_state)
reads("azure-mgmt-network", [one.name.value for one in network.usages.list("eastus")][:1])

vaults = KeyVaultManagementClient(credential, subscription, **arm)
vault = vaults.vaults.begin_create_or_update(
    "rg-sdk",
    facts["vault"],
    {
        "location": "eastus",
        "properties": {
            "tenantId": facts["tenant"],
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
            "accessPolicies": [],
        },
    },
).result()
reads("azure-mgmt-keyvault", vault.properties.enable_rbac_authorization)

roles = AuthorizationManagementClient(credential, subscription, **common)
administrator = next(iter(roles.role_definitions.list(vault.id, filter="roleName eq 'Key Vault Administrator'")))
roles.role_assignments.create(
    vault.id,
    "3e2a0b0e-0000-4000-8000-000000000001",
    {"properties": {"roleDefinitionId": administrator.id, "principalId": facts["principal"], "principalType": "ServicePrincipal"}},
)
reads("azure-mgmt-authorization", administrator.role_name)

uri = vault.properties.vault_uri
certificates = CertificateClient(uri, credential, verify_challenge_resource=False)
made = certificates.begin_create_certificate(
    "made", CertificatePolicy(issuer_name="Self", subject="CN=app.example.com", san_dns_names=["app.example.com"])
).result()
reads("azure-keyvault-certificates", made.name)
secrets = SecretClient(uri, credential, verify_challenge_resource=False)
first = secrets.set_secret("word", "x", tags={"by": "sdk"}).properties.version
reads("azure-keyvault-secrets", [secrets.set_secret("word", "y").value, secrets.get_secret("word", first).value])
reads("azure-keyvault-secrets", sorted(one.name for one in secrets.list_properties_of_secrets() if not one.managed))
reads("azure-keyvault-secrets", len(list(secrets.list_properties_of_secret_versions("word"))))
secrets.begin_delete_secret("word").wait()
reads("azure-keyvault-secrets", [one.name for one in secrets.list_deleted_secrets()])
secrets.purge_deleted_secret("word")
reads("azure-keyvault-secrets", refused(lambda: secrets.get_secret("word")))
reads("azure-keyvault-secrets", secrets.get_secret("made").properties.content_type)

identities = ManagedServiceIdentityClient(credential, subscription, **common)
identity = identities.user_assigned_identities.create_or_update("rg-sdk", "id-sdk", {"location": "eastus"})
identities.federated_identity_credentials.create_or_update(
    "rg-sdk",
    "id-sdk",
    "one",
    {
        "properties": {
            "issuer": "https://issuer.example.com/",
            "subject": "system:serviceaccount:a:b",
            "audiences": ["api://AzureADTokenExchange"],
        }
    },
)
reads("azure-mgmt-msi", [one.name for one in identities.federated_identity_credentials.list("rg-sdk", "id-sdk")])

zones = DnsManagementClient(credential, subscription, **common)
zones.zones.create_or_update("rg-sdk", "sdk.example.com", {"location": "global"})
zones.record_sets.create_or_update(
    "rg-sdk", "sdk.example.com", "app", "A", {"properties": {"TTL": 60, "ARecords": [{"ipv4Address": "10.1.2.3"}]}}
)
reads("azure-mgmt-dns", [one.fqdn for one in zones.record_sets.list_by_type("rg-sdk", "sdk.example.com", "A")])

compute = ComputeManagementClient(credential, subscription, **common)
reads("azure-mgmt-compute", [one.name.value for one in compute.usage.list("eastus")][:1])
reads("azure-mgmt-compute", any(one.name == "Standard_D4s_v5" for one in compute.resource_skus.list()))

policies = PolicyClient(credential, subscription, **common)
reads("azure-mgmt-resource-policy", len(list(policies.policy_assignments.list())))

clusters = ContainerServiceClient(credential, subscription, **arm)
cluster = clusters.managed_clusters.begin_create_or_update(
    "rg-sdk",
    "aks",
    {
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "dnsPrefix": "sdk",
            "agentPoolProfiles": [
                {"name": "system", "count": 1, "vmSize": "Standard_D4s_v5", "mode": "System", "vnetSubnetID": subnet.id}
            ],
            "networkProfile": {"networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10"},
        },
    },
).result()
reads("azure-mgmt-containerservice", cluster.properties.provisioning_state)
credentials = clusters.managed_clusters.list_cluster_user_credentials("rg-sdk", "aks")
reads("azure-mgmt-containerservice", credentials.kubeconfigs[0].name)

locks = ManagementLockClient(credential, subscription, **common)
locks.management_locks.create_or_update_at_resource_group_level("rg-sdk", "keep", {"properties": {"level": "CanNotDelete"}})
reads("azure-mgmt-resource-locks", refused(lambda: groups.resource_groups.begin_delete("rg-sdk").result()))
locks.management_locks.delete_at_resource_group_level("rg-sdk", "keep")
groups.resource_groups.begin_delete("rg-sdk").result()
reads("azure-mgmt-resource", refused(lambda: groups.resource_groups.get("rg-sdk")))

json.dump(seen, sys.stdout)
