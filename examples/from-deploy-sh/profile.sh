# The shell profile of a deploy.sh user, unchanged.
export DOMAIN_NAME="demo.example.com"
export SSL_PFX_PATH=""                 # empty: self-signed
export SSL_PFX_PASSWORD=""
export CERT_NAME="gateway-tls-cert"
export RESOURCE_GROUP="rg-aks-istio-demo"
export NODE_RESOURCE_GROUP="rg-aks-istio-nodes"
export LOCATION="eastus"
export KEYVAULT_NAME="kv-aks-istio-demo"
export CLUSTER_NAME="aks-istio-demo"
export NODE_COUNT="2"
