{{/* Checks of the values that the schema cannot express. */}}
{{- define "sweep.check" -}}
{{- if and (include "sweep.replicated" .) (not .Values.coordinator.postgres.existingSecret) }}
{{- fail "coordinator.store is postgres: name the secret with its URL in coordinator.postgres.existingSecret" }}
{{- end }}
{{- if and .Values.tls.enabled (not .Values.tls.secret) }}
{{- fail "tls.enabled: name the secret with tls.crt, tls.key and ca.crt in tls.secret" }}
{{- end }}
{{- if and .Values.tls.requireClientCertificates (not .Values.tls.workerSecret) }}
{{- fail "tls.requireClientCertificates: name the secret with the workers' certificate in tls.workerSecret" }}
{{- end }}
{{- if and .Values.ingress.enabled (include "sweep.replicated" .) (not .Values.front.enabled) }}
{{- fail "ingress.enabled with several coordinators: set front.enabled, because an ingress cannot find the leader" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.tlsSecret) }}
{{- fail "ingress.enabled: name a certificate in ingress.tlsSecret; without it tokens travel unencrypted" }}
{{- end }}
{{- if and .Values.ingress.grpc.enabled (not .Values.ingress.grpc.tlsSecret) }}
{{- fail "ingress.grpc.enabled: name a certificate in ingress.grpc.tlsSecret" }}
{{- end }}
{{- if and .Values.migration.enabled .Values.restore.enabled }}
{{- fail "migration.enabled and restore.enabled both create the store: enable only one of them" }}
{{- end }}
{{- if and .Values.migration.enabled (not (include "sweep.replicated" .)) }}
{{- fail "migration.enabled copies a SQLite store to PostgreSQL: set coordinator.store to postgres" }}
{{- end }}
{{- end }}
