"""What the CRDs of Kubeflow Trainer 2 and JobSet allow, as far as launch/k8s goes.

Written from trainjob_types.go and trainingruntime_types.go of kubeflow/trainer (v1alpha1, 2.1 and
2.2), jobset_types.go of kubernetes-sigs/jobset (v1alpha2), and batch/v1 and core/v1 of Kubernetes.
A dict is an object: its keys are all that we use, `!` marks what must be there; a list is a list
of its one element; a type is that type; a set is a choice; `Map` has any keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Map(NamedTuple):
    """An object with any keys."""

    values: Any


METADATA = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "labels": Map(str),
    "annotations": Map(str),
}
RESOURCES = {"requests": Map(str), "limits": Map(str)}
SECRET = {"name!": str, "key!": str, "optional": bool}
FIELD = {"fieldPath!": str, "apiVersion": str}
VARIABLE = {"name!": str, "value": str, "valueFrom": {"secretKeyRef": SECRET, "fieldRef": FIELD}}
TRAINER = {
    "image": str,
    "command": [str],
    "args": [str],
    "env": [VARIABLE],
    "numNodes": int,
    "numProcPerNode": int,
    "resourcesPerNode": RESOURCES,
}
TRAIN_JOB = {
    "apiVersion!": str,
    "kind!": str,
    "metadata!": METADATA,
    "spec!": {
        "runtimeRef!": {
            "name!": str,
            "apiGroup": {"trainer.kubeflow.org"},
            "kind": {"TrainingRuntime", "ClusterTrainingRuntime"},
        },
        "trainer": TRAINER,
        "suspend": bool,
    },
}
CONTAINER = {
    "name!": str,
    "image!": str,
    "command": [str],
    "args": [str],
    "workingDir": str,
    "env": [VARIABLE],
    "resources": RESOURCES,
    "volumeMounts": [{"name!": str, "mountPath!": str, "readOnly": bool}],
}
VOLUME = {
    "name!": str,
    "emptyDir": {"medium": {"", "Memory"}, "sizeLimit": str},
    "persistentVolumeClaim": {"claimName!": str, "readOnly": bool},
}
POD = {
    "restartPolicy": {"Never", "OnFailure"},
    "terminationGracePeriodSeconds": int,
    "containers!": [CONTAINER],
    "volumes": [VOLUME],
}
POD_FAILURE_RULE = {
    "action!": {"FailJob", "Ignore", "Count", "FailIndex"},
    "onExitCodes": {"containerName": str, "operator!": {"In", "NotIn"}, "values!": [int]},
    "onPodConditions": [{"type!": str, "status!": {"True", "False", "Unknown"}}],
}
JOB = {
    "backoffLimit": int,
    "podFailurePolicy": {"rules!": [POD_FAILURE_RULE]},
    "template!": {"metadata": METADATA, "spec!": POD},
}
FAILURE_RULE = {
    "name!": str,  # JobSet's webhook would give one, but nothing does in a TrainingRuntime
    "action!": {"FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"},
    "targetReplicatedJobs": [str],
    "onJobFailureReasons": [
        {
            "BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes",
            "MaxFailedIndexesExceeded", "PodFailurePolicy",
        }
    ],
}  # fmt: skip
JOB_SET = {
    "failurePolicy": {"maxRestarts": int, "rules": [FAILURE_RULE]},
    "replicatedJobs": [
        {
            "name!": str,
            "replicas": int,
            "template!": {"metadata": METADATA, "spec!": JOB},
        }
    ],
}
TRAINING_RUNTIME = {
    "apiVersion!": str,
    "kind!": str,
    "metadata!": METADATA,
    "spec!": {
        "mlPolicy": {"numNodes": int, "torch": {}},
        "template!": {"metadata": METADATA, "spec!": JOB_SET},
    },
}
KINDS: dict[str, Any] = {"TrainJob": TRAIN_JOB, "TrainingRuntime": TRAINING_RUNTIME}


def problems(value: Any, schema: Any, where: str = "") -> list[str]:
    """Return what a cluster would refuse."""
    return list(_check(value, schema, where))


def _check(value: Any, schema: Any, where: str) -> Iterator[str]:
    if isinstance(schema, set):
        if value not in schema:
            yield f"{where} should be one of {sorted(schema)}, but is {value!r}"
    elif isinstance(schema, type):
        if type(value) is not schema:  # True is no int here
            yield f"{where} should be {schema.__name__}, but is {value!r}"
    elif isinstance(schema, list):
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            yield from _check(item, schema[0], f"{where}[{number}]")
    elif not isinstance(value, dict):
        yield f"{where} should be an object, but is {value!r}"
    elif isinstance(schema, Map):
        for key, item in value.items():
            yield from _check(item, schema.values, f"{where}.{key}")
    else:
        yield from _check_object(value, schema, where)


def _check_object(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    dot = f"{where}." if where else ""
    for key in schema:
        if key.endswith("!") and key.removesuffix("!") not in value:
            yield f"{dot}{key.removesuffix('!')} is missing"
    known = {key.removesuffix("!"): kind for key, kind in schema.items()}
    for key, item in value.items():
        if key not in known:
            yield f"{dot}{key} is unknown"
        else:
            yield from _check(item, known[key], f"{dot}{key}")
