#!/usr/bin/env python3
"""Writes what a built adit is made of, as CycloneDX 1.5 JSON, to standard output.

    sbom.py <target triple> <binary>

The crates are those that cargo links into the binary for that target: no build scripts, no
procedural macros, no tests. Nothing depends on the clock or the machine, so that the same tree
gives the same text.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path


def cargo(*arguments):
    """What a command of cargo says about the locked tree."""
    return subprocess.run(
        ["cargo", *arguments, "--locked"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def linked(target):
    """Names and versions of the crates in the binary."""
    # `cargo metadata` unites the features that tests need with ours; `cargo tree` does not.
    lines = cargo(
        "tree", "--package", "adit", "--target", target, "--edges", "normal,no-proc-macro",
        "--prefix", "none", "--no-dedupe", "--format", "{p}",
    ).splitlines()
    found = set()
    for line in filter(None, lines):
        name, version = line.split()[:2]
        found.add((name, version.removeprefix("v")))
    return found


def checksums():
    """SHA-256 of each crate's archive, as the lock file pins it."""
    pattern = re.compile(
        r'^name = "(?P<name>.+)"\nversion = "(?P<version>.+)"\n'
        r'source = ".+"\nchecksum = "(?P<sum>[0-9a-f]{64})"$',
        re.MULTILINE,
    )
    lock = Path("Cargo.lock").read_text(encoding="utf-8")
    return {(m["name"], m["version"]): m["sum"] for m in pattern.finditer(lock)}


def purl(package):
    """The package URL of a crate (https://github.com/package-url/purl-spec)."""
    version = package["version"].replace("+", "%2B")
    return f"pkg:cargo/{package['name']}@{version}"


def licence(expression):
    """A licence field of CycloneDX; `/` is how older crates wrote `OR`."""
    if expression is None:
        return []
    return [{"expression": re.sub(r"\s*/\s*", " OR ", expression)}]


def component(package, sums):
    """One crate as a component."""
    reference = purl(package)
    entry = {
        "type": "library",
        "bom-ref": reference,
        "name": package["name"],
        "version": package["version"],
        "purl": reference,
        "licenses": licence(package["license"]),
    }
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def main(target, binary):
    """Joins the tree, the lock file and the binary."""
    names = linked(target)
    metadata = json.loads(
        cargo("metadata", "--format-version", "1", "--filter-platform", target)
    )
    packages = {
        package["id"]: package
        for package in metadata["packages"]
        if (package["name"], package["version"]) in names
    }
    missing = names - {(p["name"], p["version"]) for p in packages.values()}
    if missing:
        sys.exit(f"sbom: cargo links what its metadata does not know: {sorted(missing)}")

    sums = checksums()
    ours = next(p for p in packages.values() if p["name"] == "adit")
    head = component(ours, sums) | {"type": "application"}
    content = Path(binary).read_bytes()
    head["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    head["properties"] = [{"name": "adit:target", "value": target}]

    edges = []
    for node in metadata["resolve"]["nodes"]:
        if node["id"] not in packages:
            continue
        needed = {
            purl(packages[dependency["pkg"]])
            for dependency in node["deps"]
            if dependency["pkg"] in packages
            and any(kind["kind"] is None for kind in dependency["dep_kinds"])
        }
        edges.append({"ref": purl(packages[node["id"]]), "dependsOn": sorted(needed)})

    libraries = [component(p, sums) for key, p in packages.items() if key != ours["id"]]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": head},
        "components": sorted(libraries, key=lambda entry: entry["bom-ref"]),
        "dependencies": sorted(edges, key=lambda edge: edge["ref"]),
    }
    json.dump(bill, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: sbom.py <target triple> <binary>")
    main(*sys.argv[1:])
