{{/* What the objects are called: the release's name, with the chart's where it does not say it already. */}}
{{- define "tasker.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $both .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* By these the objects of a release find each other: they may never change. */}}
{{- define "tasker.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tasker.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "tasker.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tasker.serviceAccount" -}}
{{- .Values.serviceAccount.create | ternary (default (include "tasker.fullname" .) .Values.serviceAccount.name) (default "default" .Values.serviceAccount.name) -}}
{{- end }}

{{- define "tasker.image" -}}
{{- with .Values.image -}}
{{- .digest | empty | ternary (printf "%s:%s" .repository (default $.Chart.AppVersion .tag)) (printf "%s@%s" .repository .digest) | quote -}}
{{- end -}}
{{- end }}

{{/* Whether the history is on PostgreSQL, which daemons and CronJobs share. */}}
{{- define "tasker.isShared" -}}
{{- if or .Values.history.url .Values.history.existingSecret.name }}yes{{ end -}}
{{- end }}

{{/*
Seconds from SIGTERM to SIGKILL: what a run takes at most to stop, with its hooks, is not more than twice the grace
period and 5 seconds; the daemon has 15 more to write down what became of it.
*/}}
{{- define "tasker.terminationGracePeriodSeconds" -}}
{{- add (mul 2 (int64 .Values.graceSeconds)) 20 -}}
{{- end }}

{{/* What cannot be so, and no schema can say. */}}
{{- define "tasker.check" -}}
{{- $watch := .Values.watch -}}
{{- $shared := include "tasker.isShared" . -}}
{{- if and .Values.history.url .Values.history.existingSecret.name }}
{{- fail "history.url and history.existingSecret.name: only one of them says where the history is" }}
{{- end }}
{{- if regexMatch "^[^@]*//[^/@]*:[^/]*@|[?&]password=" .Values.history.url }}
{{- fail "history.url holds a password: put the whole URL into a Secret, and name that in history.existingSecret.name" }}
{{- end }}
{{- if and (gt (int $watch.replicas) 1) (not $shared) }}
{{- fail "watch.replicas: more than one daemon needs a history on PostgreSQL: set history.url or history.existingSecret.name" }}
{{- end }}
{{- if and (not $watch.enabled) (empty .Values.cronJobs) }}
{{- fail "nothing would run: set watch.enabled to true, or give cronJobs" }}
{{- end }}
{{- with $watch.podDisruptionBudget }}
{{- if and (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) }}
{{- fail "watch.podDisruptionBudget: minAvailable and maxUnavailable cannot be set both" }}
{{- end }}
{{- end }}
{{- with .Values.workspaces }}
{{- if and .storageClass (not .sizeLimit) }}
{{- fail "workspaces.sizeLimit: a volume of workspaces.storageClass needs a size" }}
{{- end }}
{{- if and .storageClass .medium }}
{{- fail "workspaces.medium and workspaces.storageClass: only one of them says where workspaces are" }}
{{- end }}
{{- end }}
{{- $ours := list "TASKER_GRACE" "TASKER_HISTORY" "TASKER_HTTP" "TASKER_KEEP" "TASKER_LOG_FORMAT" "TASKER_LOG_LEVEL" "TASKER_MAX_RUNS" "TASKER_POLL" "TASKER_STATE" -}}
{{- if include "tasker.hasTasks" . }}
{{- $ours = append $ours "TASKER_TASKS" }}
{{- end }}
{{- range .Values.env }}
{{- if has .name $ours }}
{{- fail (printf "env: %s is set by the chart: by graceSeconds, history, log, tasks or watch" .name) }}
{{- end }}
{{- end }}
{{- range $name, $_ := .Values.cronJobs }}
{{- $called := printf "%s-%s" (include "tasker.fullname" $) $name }}
{{- if gt (len $called) 52 }}
{{- fail (printf "cronJobs.%s: the CronJob would be called %s, and Kubernetes allows 52 characters: shorten this name, or set fullnameOverride" $name $called) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables of every container. */}}
{{- define "tasker.env" -}}
- { name: TASKER_LOG_LEVEL, value: {{ .Values.log.level | quote }} }
- { name: TASKER_LOG_FORMAT, value: {{ .Values.log.format | quote }} }
- { name: TASKER_GRACE, value: {{ .Values.graceSeconds | quote }} }
{{- if .Values.history.url }}
- { name: TASKER_HISTORY, value: {{ .Values.history.url | quote }} }
{{- else if .Values.history.existingSecret.name }}
- name: TASKER_HISTORY
  valueFrom: { secretKeyRef: { name: {{ .Values.history.existingSecret.name | quote }}, key: {{ .Values.history.existingSecret.key | quote }} } }
{{- end }}
{{- if include "tasker.hasTasks" . }}
- { name: TASKER_TASKS, value: /etc/tasker/more-tasks }
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What every pod is: who it is, and where it may run. */}}
{{- define "tasker.pod" -}}
serviceAccountName: {{ include "tasker.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "tasker.terminationGracePeriodSeconds" . }}
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every container is. */}}
{{- define "tasker.container" -}}
image: {{ include "tasker.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
{{- with .Values.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tasker.mounts" -}}
- { name: conf, mountPath: /etc/tasker/conf.d, readOnly: true }
{{- if include "tasker.hasTasks" . }}
- { name: tasks, mountPath: /etc/tasker/more-tasks, readOnly: true }  # beside tasks/, which an image may fill
{{- end }}
{{- if .Values.secrets.existingSecrets }}
- { name: secrets, mountPath: /run/secrets/tasker, readOnly: true }
{{- end }}
- { name: tmp, mountPath: /tmp }
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tasker.hasTasks" -}}
{{- if or .Values.tasks.files .Values.tasks.existingConfigMaps }}yes{{ end -}}
{{- end }}

{{/* Whether the chart keeps a ConfigMap of conf files: also an empty one, to be filled, where there is no other. */}}
{{- define "tasker.keepsConf" -}}
{{- if or .Values.conf.files (empty .Values.conf.existingConfigMaps) }}yes{{ end -}}
{{- end }}

{{- define "tasker.volumes" -}}
{{- $fullname := include "tasker.fullname" . -}}
- name: conf
  projected:
    sources:
      {{- range .Values.conf.existingConfigMaps }}
      - configMap: { name: {{ . | quote }} }
      {{- end }}
      {{- if include "tasker.keepsConf" . }}
      - configMap: { name: {{ $fullname }}-conf }
      {{- end }}
{{- if include "tasker.hasTasks" . }}
- name: tasks
  projected:
    sources:
      {{- range .Values.tasks.existingConfigMaps }}
      - configMap: { name: {{ . | quote }} }
      {{- end }}
      {{- if .Values.tasks.files }}
      - configMap: { name: {{ $fullname }}-tasks }
      {{- end }}
{{- end }}
{{- with .Values.secrets.existingSecrets }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - secret: { name: {{ . | quote }} }
      {{- end }}
{{- end }}
- name: tmp
{{- with .Values.workspaces }}
{{- if .storageClass }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: {{ .storageClass | quote }}
        resources: { requests: { storage: {{ .sizeLimit }} } }
{{- else if or .sizeLimit .medium }}
  emptyDir:
    {{- with .medium }}
    medium: {{ . }}
    {{- end }}
    {{- with .sizeLimit }}
    sizeLimit: {{ . }}
    {{- end }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
