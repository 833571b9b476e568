"""A clean copy of the work tree, as a clone of it would be: what is tracked or new, nothing that is ignored."""
import os, shutil, subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(*under):
    """Paths from the root of the work tree, of all its files or of those whose paths begin with one of `under`."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = os.fsdecode(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout).split("\0")
    # What was deleted and is not committed yet is still listed.
    listed = [path for path in listed if path and path.startswith(under or ("",))]
    return sorted(path for path in listed if os.path.isfile(os.path.join(ROOT, path)))


def copy(folder, under=()):
    """Copies all files, or those whose paths begin with one of `under`."""
    for path in files(*under):
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, path), target, follow_symlinks=False)
