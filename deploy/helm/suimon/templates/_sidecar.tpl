{{- /*
_sidecar.tpl - suimon's parts of a pod, for this chart's workload and for that of a chart which depends on this one: there
`include "suimon.sidecar" .Subcharts.suimon` (README.md). Each is a list, or a mapping, to be put behind its key by nindent.
*/ -}}

{{- /* Of the pod's annotations: where to scrape, and a sum by which another configuration is another pod. */ -}}
{{- define "suimon.annotations" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.suimon.httpPort | quote }}
checksum/config: {{ .Values.suimon.config | sha256sum }}
{{- end }}

{{- /* The first of the pod's initContainers: one that is always restarted starts before the application and stops after it. */ -}}
{{- define "suimon.sidecar" -}}
- name: suimon
  image: {{ .Values.suimon.image | quote }}
  restartPolicy: Always
  args: [-c, /etc/suimon/suimon.yaml]
{{- if .Values.suimon.secret }}
  envFrom:
    - secretRef:
        name: {{ .Values.suimon.secret }}
{{- end }}
  env:
    - name: STATE_DIRECTORY
      value: /var/lib/suimon/{{ if .Values.queue.enabled }}queue{{ else }}state{{ end }}
  ports:
    - name: suimon-http
      containerPort: {{ .Values.suimon.httpPort }}
  # The application waits until the database can be read, 30 s at most: one that is down must not end suimon, as a probe that fails would.
  startupProbe:
    exec:
      command:
        - /bin/sh
        - -c
        - n=0; until suimon ready --http "$0" || [ $((n += 1)) -ge 30 ]; do sleep 1; done; exec suimon health --http "$0"
        - 127.0.0.1:{{ .Values.suimon.httpPort }}
    periodSeconds: 1
    timeoutSeconds: 100
    failureThreshold: 3
  livenessProbe:
    httpGet: {path: /healthz, port: suimon-http}
    periodSeconds: 10
    timeoutSeconds: 3
  readinessProbe:
    httpGet: {path: {{ .Values.suimon.readiness }}, port: suimon-http}
    periodSeconds: 5
    timeoutSeconds: 3
  securityContext:
    runAsUser: 6033
    runAsGroup: 6033
    runAsNonRoot: true
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
  resources:
    {{- toYaml .Values.suimon.resources | nindent 4 }}
  volumeMounts:
    - name: suimon-config
      mountPath: /etc/suimon
      readOnly: true
{{- if .Values.queue.enabled }}
    - name: suimon-queue
      mountPath: /var/lib/suimon/queue
{{- else }}
    - name: suimon-state
      mountPath: /var/lib/suimon/state
{{- end }}
{{- with .Values.suimon.volumeMounts }}
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- /* Of the pod's volumes: what the sidecar mounts, but the queue's. */ -}}
{{- define "suimon.volumes" -}}
- name: suimon-config
  configMap:
    name: {{ .Release.Name }}-suimon
{{- if not .Values.queue.enabled }}
- name: suimon-state
  emptyDir: {}
{{- end }}
{{- with .Values.suimon.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Of a StatefulSet's volumeClaimTemplates, where queue.enabled: the queue's. */ -}}
{{- define "suimon.claim" -}}
- metadata:
    name: suimon-queue
  spec:
    accessModes: [ReadWriteOnce]
{{- if .Values.queue.storageClass }}
    storageClassName: {{ .Values.queue.storageClass }}
{{- end }}
    resources:
      requests:
        storage: {{ .Values.queue.size }}
{{- end }}
