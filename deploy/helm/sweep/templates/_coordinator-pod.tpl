{{/* The pod of a coordinator, for a Deployment with SQLite and for a StatefulSet with PostgreSQL. */}}
{{- define "sweep.coordinatorPod" -}}
metadata:
  labels:
    {{- include "sweep.labels" . | nindent 4 }}
    app.kubernetes.io/component: coordinator
    # Keeps coordinators of the two stores behind different services while one replaces the other.
    sweep.store: {{ .Values.coordinator.store }}
    {{- with .Values.coordinator.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A changed configuration restarts the pod.
    checksum/config: {{ include (print $.Template.BasePath "/coordinator-config.yaml") . | sha256sum }}
    {{- with .Values.coordinator.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sweep.account" . }}
  automountServiceAccountToken: false
  # Kubernetes would otherwise set variables that look like Sweep's.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add (int .Values.coordinator.shutdownSeconds) 10 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.coordinator.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{- include "sweep.podSecurity" . | nindent 4 }}
  {{- with .Values.coordinator.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.coordinator.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.coordinator.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      # Nodes with taints that the pod does not tolerate, such as GPU nodes, do not count.
      nodeTaintsPolicy: Honor
      # Two coordinators on one node would fail together.
      whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq .Values.coordinator.store "postgres") }}
      labelSelector:
        matchLabels:
          {{- include "sweep.selector" . | nindent 10 }}
          app.kubernetes.io/component: coordinator
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      nodeTaintsPolicy: Honor
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "sweep.selector" . | nindent 10 }}
          app.kubernetes.io/component: coordinator
  containers:
    - name: coordinator
      image: {{ include "sweep.image" (dict "image" .Values.coordinator.image "tag" .Chart.AppVersion) }}
      imagePullPolicy: {{ .Values.coordinator.image.pullPolicy }}
      args: [--config, /etc/sweep/coordinator.yaml]
      env:
        # For `kubectl exec ... -- sweepctl`, without further options.
        - { name: SWEEP_COORDINATOR, value: {{ include "sweep.addresses" . | quote }} }
        - { name: SWEEP_TOKEN_FILE, value: /etc/sweep/tokens/admin }
        {{- if .Values.tls.enabled }}
        - { name: SWEEP_CA_FILE, value: /etc/sweep/tls/ca.crt }
        {{- end }}
        {{- if include "sweep.replicated" . }}
        - name: SWEEP_COORDINATOR_STORE
          valueFrom:
            secretKeyRef: { name: {{ .Values.coordinator.postgres.existingSecret }}, key: {{ .Values.coordinator.postgres.key }} }
        - name: POD_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        - name: POD_NAMESPACE
          valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
        # The address that a standby gives to clients while this pod leads: a full name, because clients may be in other namespaces.
        - name: SWEEP_COORDINATOR_ADVERTISE
          value: $(POD_NAME).{{ include "sweep.coordinator" . }}-peers.$(POD_NAMESPACE).svc.{{ .Values.clusterDomain }}:7733
        {{- end }}
        {{- with .Values.coordinator.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - { name: grpc, containerPort: 7733, protocol: TCP }
        - { name: http, containerPort: 7734, protocol: TCP }
      # Opening a store may migrate its tables first: ten minutes.
      startupProbe:
        httpGet: { path: /healthz, port: http, scheme: {{ include "sweep.scheme" . | upper }} }
        periodSeconds: 2
        failureThreshold: 300
      # A standby that knows the leader counts as ready, so that disruption budgets and rollouts count it.
      readinessProbe:
        httpGet: { path: "/readyz?standby=ready", port: http, scheme: {{ include "sweep.scheme" . | upper }} }
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      # Does not check the store: restarting does not help against an unreachable database.
      livenessProbe:
        httpGet: { path: /healthz, port: http, scheme: {{ include "sweep.scheme" . | upper }} }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources: {{- toYaml .Values.coordinator.resources | nindent 8 }}
      securityContext: {{- include "sweep.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - { name: config, mountPath: /etc/sweep/coordinator.yaml, subPath: coordinator.yaml, readOnly: true }
        - { name: tokens, mountPath: /etc/sweep/tokens, readOnly: true }
        {{- if .Values.tls.enabled }}
        - { name: tls, mountPath: /etc/sweep/tls, readOnly: true }
        {{- end }}
        - { name: store, mountPath: /var/lib/sweep }
        - { name: tmp, mountPath: /tmp }
        {{- with .Values.coordinator.volumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: { name: {{ include "sweep.coordinator" . }} }
    - name: tokens
      secret: { secretName: {{ include "sweep.tokens" . }}, defaultMode: 0440 }
    {{- if .Values.tls.enabled }}
    - name: tls
      secret: { secretName: {{ .Values.tls.secret }}, defaultMode: 0440 }
    {{- end }}
    - name: store
      persistentVolumeClaim: { claimName: {{ include "sweep.claim" . }} }
    - name: tmp
      emptyDir: { sizeLimit: 1Gi }
    {{- with .Values.coordinator.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
