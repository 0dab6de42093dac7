"""Where images come from, one file a dataset: a function (root, split) -> images uint8, labels int64."""

REGISTRY = {
    "digits": "opnorm.datasets.digits:digits",
    "cifar10": "opnorm.datasets.cifar10:cifar10",
    "cifar10_small": "opnorm.datasets.cifar10_small:cifar10_small",
    "cifar100": "opnorm.datasets.cifar100:cifar100",
    "svhn": "opnorm.datasets.svhn:svhn",
}
