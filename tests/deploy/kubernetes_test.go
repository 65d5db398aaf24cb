package deploy

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// What we use of the objects of Kubernetes, with its names.
type (
	metadata struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	}
	selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	head struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
	}
	kubeService struct {
		head `yaml:",inline"`
		Spec struct {
			ClusterIP string            `yaml:"clusterIP"`
			NotReady  bool              `yaml:"publishNotReadyAddresses"`
			Selector  map[string]string `yaml:"selector"`
			Ports     []struct {
				Name       string `yaml:"name"`
				Port       int    `yaml:"port"`
				TargetPort string `yaml:"targetPort"`
			} `yaml:"ports"`
		} `yaml:"spec"`
	}
	disruptionBudget struct {
		head `yaml:",inline"`
		Spec struct {
			MaxUnavailable int      `yaml:"maxUnavailable"`
			Selector       selector `yaml:"selector"`
		} `yaml:"spec"`
	}
	networkPolicy struct {
		head `yaml:",inline"`
		Spec struct {
			PodSelector selector `yaml:"podSelector"`
			PolicyTypes []string `yaml:"policyTypes"`
			Ingress     []struct {
				Ports []struct{ Protocol, Port string } `yaml:"ports"`
				From  []struct {
					PodSelector selector `yaml:"podSelector"`
				} `yaml:"from"`
			} `yaml:"ingress"`
		} `yaml:"spec"`
	}
	statefulSet struct {
		head `yaml:",inline"`
		Spec struct {
			ServiceName         string                `yaml:"serviceName"`
			Replicas            int                   `yaml:"replicas"`
			PodManagementPolicy string                `yaml:"podManagementPolicy"`
			UpdateStrategy      struct{ Type string } `yaml:"updateStrategy"`
			Selector            selector              `yaml:"selector"`
			Template            struct {
				Metadata metadata `yaml:"metadata"`
				Spec     podSpec  `yaml:"spec"`
			} `yaml:"template"`
			Claims []struct {
				Metadata metadata `yaml:"metadata"`
				Spec     struct {
					AccessModes []string  `yaml:"accessModes"`
					Resources   resources `yaml:"resources"`
				} `yaml:"spec"`
			} `yaml:"volumeClaimTemplates"`
		} `yaml:"spec"`
	}
	podSpec struct {
		Grace           int  `yaml:"terminationGracePeriodSeconds"`
		Token           bool `yaml:"automountServiceAccountToken"`
		Links           bool `yaml:"enableServiceLinks"`
		SecurityContext struct {
			NonRoot bool                  `yaml:"runAsNonRoot"`
			User    int                   `yaml:"runAsUser"`
			Group   int                   `yaml:"runAsGroup"`
			FSGroup int                   `yaml:"fsGroup"`
			Change  string                `yaml:"fsGroupChangePolicy"`
			Seccomp struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Spread []struct {
			MaxSkew       int      `yaml:"maxSkew"`
			TopologyKey   string   `yaml:"topologyKey"`
			Unsatisfiable string   `yaml:"whenUnsatisfiable"`
			LabelSelector selector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		Containers []kubeContainer `yaml:"containers"`
		Volumes    []volume        `yaml:"volumes"`
	}
	volume struct {
		Name   string `yaml:"name"`
		Secret struct {
			SecretName string `yaml:"secretName"`
		} `yaml:"secret"`
	}
	kubeContainer struct {
		Name       string `yaml:"name"`
		Image      string `yaml:"image"`
		PullPolicy string `yaml:"imagePullPolicy"`
		Ports      []struct {
			Name          string `yaml:"name"`
			ContainerPort int    `yaml:"containerPort"`
		} `yaml:"ports"`
		Env             []variableOf `yaml:"env"`
		Liveness        probe        `yaml:"livenessProbe"`
		Readiness       probe        `yaml:"readinessProbe"`
		Resources       resources    `yaml:"resources"`
		SecurityContext struct {
			Escalation bool                    `yaml:"allowPrivilegeEscalation"`
			ReadOnly   bool                    `yaml:"readOnlyRootFilesystem"`
			Caps       struct{ Drop []string } `yaml:"capabilities"`
		} `yaml:"securityContext"`
		Mounts []struct {
			Name      string `yaml:"name"`
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	variableOf struct {
		Name      string `yaml:"name"`
		Value     string `yaml:"value"`
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	probe struct {
		HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
		PeriodSeconds    int                         `yaml:"periodSeconds"`
		TimeoutSeconds   int                         `yaml:"timeoutSeconds"`
		FailureThreshold int                         `yaml:"failureThreshold"`
	}
	resources struct {
		Requests map[string]string `yaml:"requests"`
		Limits   map[string]string `yaml:"limits"`
	}
)

// manifest is the file for Kubernetes.
type manifest struct {
	services map[string]*kubeService
	budget   disruptionBudget
	policy   networkPolicy
	set      statefulSet
}

func loadManifest(t *testing.T) *manifest {
	t.Helper()
	m := &manifest{services: map[string]*kubeService{}}
	for _, text := range strings.Split(read(t, "kubernetes", "base", "dtkv.yaml"), "\n---\n") {
		_, kind, _ := strings.Cut(text, "\nkind: ")
		kind, _, _ = strings.Cut(kind, "\n")
		switch kind {
		case "Service":
			s := &kubeService{}
			decode(t, text, s)
			m.services[s.Metadata.Name] = s
		case "PodDisruptionBudget":
			decode(t, text, &m.budget)
		case "NetworkPolicy":
			decode(t, text, &m.policy)
		case "StatefulSet":
			decode(t, text, &m.set)
		default:
			t.Errorf("what is a %q?", kind)
		}
	}
	return m
}

// withTLS makes the changes of the overlay, which only adds to lists.
func (m *manifest) withTLS(t *testing.T) {
	t.Helper()
	var overlay struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Resources  []string
		Patches    []struct {
			Target struct{ Kind, Name string }
			Patch  string
		}
	}
	decode(t, read(t, "kubernetes", "tls", "kustomization.yaml"), &overlay)
	if len(overlay.Patches) != 1 || overlay.Patches[0].Target.Kind != "StatefulSet" || fmt.Sprint(overlay.Resources) != "[../base]" {
		t.Fatalf("the overlay is %+v", overlay)
	}
	var patch statefulSet
	decode(t, overlay.Patches[0].Patch, &patch)
	more, c := patch.Spec.Template.Spec, &m.set.Spec.Template.Spec.Containers[0]
	c.Env = append(c.Env, more.Containers[0].Env...)
	c.Mounts = append(c.Mounts, more.Containers[0].Mounts...)
	m.set.Spec.Template.Spec.Volumes = append(m.set.Spec.Template.Spec.Volumes, more.Volumes...)
}

// The objects refer to each other, to the image and to ports and volumes that exist.
func TestTheManifestHangsTogether(t *testing.T) {
	m := loadManifest(t)
	m.withTLS(t)
	labels := m.set.Spec.Template.Metadata.Labels
	for what, s := range map[string]map[string]string{
		"stateful set": m.set.Spec.Selector.MatchLabels, "budget": m.budget.Spec.Selector.MatchLabels,
		"policy": m.policy.Spec.PodSelector.MatchLabels, "service": m.services["dtkv"].Spec.Selector,
		"names": m.services[m.set.Spec.ServiceName].Spec.Selector, "spread": m.set.Spec.Template.Spec.Spread[0].LabelSelector.MatchLabels,
	} {
		if len(s) == 0 || !maps.Equal(s, labels) {
			t.Errorf("the %s selects %v, the pods are %v", what, s, labels)
		}
	}
	names := m.services[m.set.Spec.ServiceName].Spec
	if names.ClusterIP != "None" || !names.NotReady || m.budget.Spec.MaxUnavailable != 1 || m.set.Spec.PodManagementPolicy != "Parallel" {
		t.Errorf("%+v, %+v, %+v", names, m.budget.Spec, m.set.Spec.PodManagementPolicy)
	}
	spec := m.set.Spec.Template.Spec
	c := spec.Containers[0]
	ports := map[string]bool{}
	for _, p := range c.Ports {
		ports[p.Name] = true
	}
	targets := []string{c.Liveness.HTTPGet.Port, c.Readiness.HTTPGet.Port}
	for _, s := range m.services {
		for _, p := range s.Spec.Ports {
			targets = append(targets, p.TargetPort)
		}
	}
	for _, rule := range m.policy.Spec.Ingress {
		for _, p := range rule.Ports {
			targets = append(targets, p.Port)
			if p.Port == "peer" && (len(rule.From) != 1 || !maps.Equal(rule.From[0].PodSelector.MatchLabels, labels)) {
				t.Errorf("the peer port is open to %+v", rule.From)
			}
		}
	}
	for _, port := range targets {
		if !ports[port] {
			t.Errorf("no port is called %q", port)
		}
	}
	var volumes, mounts []string
	for _, v := range spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, v := range m.set.Spec.Claims {
		volumes = append(volumes, v.Metadata.Name)
	}
	for _, mount := range c.Mounts {
		mounts = append(mounts, mount.MountPath+"/")
		if !slices.Contains(volumes, mount.Name) {
			t.Errorf("no volume is called %q", mount.Name)
		}
	}
	for _, v := range c.Env {
		if strings.HasPrefix(v.Value, "/") && !slices.ContainsFunc(mounts, func(at string) bool { return strings.HasPrefix(v.Value, at) }) {
			t.Errorf("%s is %s, where nothing is mounted", v.Name, v.Value)
		}
	}
	user := fmt.Sprintf("%d:%d", spec.SecurityContext.User, spec.SecurityContext.Group)
	if !strings.Contains(read(t, "Dockerfile"), "\nUSER "+user+"\n") || spec.SecurityContext.FSGroup != spec.SecurityContext.Group {
		t.Errorf("the pods run as %s", user)
	}
}

// Where there is a kubectl, it understands the overlay.
func TestKustomize(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Log("no kubectl here; TestPods makes the changes by itself")
		return
	}
	out := harness.Output(t, "", "", "kubectl", "kustomize", filepath.Join(root(t), "deploy", "kubernetes", "tls"))
	for _, want := range []string{"DTKV_TLS_KEY_FILE", "DTKV_REQUIREPASS_FILE", "secretName: dtkv-tls", "kind: NetworkPolicy"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// environment is what the pod of that name sees.
func (m *manifest) environment(t *testing.T, name string) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, v := range m.set.Spec.Template.Spec.Containers[0].Env {
		switch v.ValueFrom.FieldRef.FieldPath {
		case "metadata.name":
			env[v.Name] = name
		case "metadata.namespace":
			env[v.Name] = "somewhere"
		case "":
			env[v.Name] = reference(v.Value, env) // only earlier ones, as Kubernetes has it
		default:
			t.Errorf("what is %s?", v.ValueFrom.FieldRef.FieldPath)
		}
	}
	return env
}

// Three pods form a cluster over TLS, a fourth joins by the same template, a removed one comes back with an empty volume,
// and pods that are told to end end in time.
func TestPods(t *testing.T) {
	m := loadManifest(t)
	m.withTLS(t)
	c := m.set.Spec.Template.Spec.Containers[0]
	ca := harness.NewCA(t)
	cert, key := ca.Node(t, "tls")
	password := filepath.Join(t.TempDir(), "password")
	harness.Output(t, "", "", "sh", "-c", "printf secret > "+password) // without a line end, as kubectl makes it
	hosts := map[string]string{}
	var pods []*pod
	launch := func(i int) *pod {
		p := pods[i]
		p.place("/etc/dtkv/secret/password", password)
		p.place("/etc/dtkv/tls/tls.crt", cert)
		p.place("/etc/dtkv/tls/tls.key", key)
		p.place("/etc/dtkv/tls/ca.crt", ca.File)
		p.run(m.environment(t, p.name), hosts)
		return p
	}
	for i := range m.set.Spec.Replicas + 1 {
		p := newPod(t, fmt.Sprintf("%s-%d", m.set.Metadata.Name, i))
		hosts[fmt.Sprintf("%s.%s.somewhere.svc:16379", p.name, m.set.Spec.ServiceName)] = p.peer
		pods = append(pods, p)
	}
	for i := range m.set.Spec.Replicas {
		launch(i)
	}
	client := ca.Client(t, "client")
	ask := func(p *pod, args ...string) string {
		conn := harness.DialTLS(t, p.addr, client)
		conn.Want(t, "+OK\r\n", "AUTH", "secret")
		return conn.Must(t, args...)
	}
	for _, p := range pods[:m.set.Spec.Replicas] {
		p.ready()
		if !p.probe(c.Liveness.HTTPGet.Path) || !p.probe(c.Readiness.HTTPGet.Path) {
			t.Errorf("%s: the probes fail", p.name)
		}
	}
	if got := ask(pods[0], "SET", "k", "v"); got != "+OK\r\n" {
		t.Errorf("SET: %q", got)
	}
	for range 2 {
		last := launch(m.set.Spec.Replicas)
		last.ready()
		harness.Eventually(t, "the fourth to vote", func() bool {
			return strings.Contains(ask(pods[0], "DTKV.CLUSTER", "STATUS"), "$6\r\nvoters\r\n:4\r\n")
		})
		if got := ask(last, "GET", "k"); got != "$1\r\nv\r\n" {
			t.Errorf("GET: %q", got)
		}
		if got := ask(pods[1], "DTKV.CLUSTER", "REMOVE", last.name); got != "+OK\r\n" {
			t.Errorf("REMOVE: %q", got)
		}
		last.Wait(t)
		last.dir = t.TempDir() // the claim was deleted
	}
	for i, p := range pods[:m.set.Spec.Replicas] {
		if code := p.Stop(t); code != 0 {
			t.Errorf("%s ends with %d", p.name, code)
		}
		launch(i).ready()
		if got := ask(p, "GET", "k"); got != "$1\r\nv\r\n" {
			t.Errorf("GET at %s after its restart: %q", p.name, got)
		}
	}
}
