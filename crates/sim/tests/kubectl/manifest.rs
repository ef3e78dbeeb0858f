//! Manifests of a user: an app with its Service, a Gateway and a route, in a namespace of their own.

/// All manifests in one file.
pub const WEB: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: demo
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: demo
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: mcr.microsoft.com/azuredocs/aks-helloworld:v1
        ports:
        - containerPort: 80
        resources:
          requests: {cpu: 100m, memory: 64Mi}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: demo
spec:
  selector: {app: web}
  ports:
  - port: 80
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: web
  namespace: demo
spec:
  gatewayClassName: approuting-istio
  listeners:
  - name: http
    port: 80
    protocol: HTTP
    allowedRoutes:
      namespaces: {from: Same}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  namespace: demo
spec:
  parentRefs:
  - name: web
  hostnames: [web.example.test]
  rules:
  - backendRefs:
    - name: web
      port: 80
";

/// A SecretProviderClass for a vault that does not exist, and a pod that mounts it.
pub const SYNC: &str = "\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: tls
  namespace: demo
spec:
  provider: azure
  parameters:
    keyvaultName: kv-nowhere
    tenantId: 00000000-0000-4000-8000-000000000000
    useVMManagedIdentity: \"true\"
    objects: |
      array:
        - |
          objectName: tls
          objectType: secret
  secretObjects:
  - secretName: tls
    type: kubernetes.io/tls
    data:
    - {objectName: tls, key: tls.crt}
    - {objectName: tls, key: tls.key}
---
apiVersion: v1
kind: Pod
metadata:
  name: holder
  namespace: demo
spec:
  containers:
  - name: pause
    image: mcr.microsoft.com/oss/kubernetes/pause:3.9
  volumes:
  - name: tls
    csi:
      driver: secrets-store.csi.k8s.io
      readOnly: true
      volumeAttributes: {secretProviderClass: tls}
";
