"""The campaigns of tools/torture: each disturbs runs in one way and says what was lost."""
import glob, os, random, re, signal, subprocess, time

# Statuses that the program may end with when something fails (sysexits.h).
KNOWN = {64, 65, 66, 73, 74, 75}


def page_by_page(count):
    return f", {count} page by page" if count else ""


def kills(bench, made, count, seed, failures):
    """SIGKILL at random moments, often several in a row."""
    chance = random.Random(seed)
    same = ended = struck = 0
    for number in range(count):
        scene = made[number % len(made)]
        scene.fresh()
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            process = subprocess.Popen([bench.program, *scene.command()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * scene.seconds)
            process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                ended += 1
            else:
                struck += 1
        same += scene.check(f"kill {number} (seed {seed}, {scene.name})", failures)
    return f"{struck} processes killed in {count} runs ({ended} kills came too late); {same} of {count} stores the same byte for byte{page_by_page(count - same)}"


def mixed(bench, made, count, seed, failures):
    """Signals of all kinds, with states on disk one time and in memory the next."""
    chance = random.Random(seed + 2)
    stopped = 0
    for number in range(count):
        scene = made[number % len(made)]
        scene.fresh()
        what = f"mixed {number} (seed {seed}, {scene.name})"
        for _ in range(chance.choice([1, 2, 3, 4])):
            memory = chance.choice([[], ["--memory", "1GiB"]])
            process = subprocess.Popen([bench.program, *scene.command(), *memory], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(chance.random() * scene.seconds)
            for sent in chance.choice([[signal.SIGKILL], [signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]]):
                process.send_signal(sent)
                time.sleep(chance.random() * 0.02)
            said = process.communicate()[1]
            stopped += process.returncode != 0
            # A signal that comes before the first line of the program ends it as it ends any; then it has said nothing.
            if process.returncode in (-signal.SIGINT, -signal.SIGTERM) and not said:
                continue
            # Begun in memory, a run's blocks may be too long for the least budget; it says so, and goes on with more.
            if process.returncode not in (0, 75, -signal.SIGKILL) and not (process.returncode == 64 and "was begun with blocks" in said):
                failures.append(f"{what}: status {process.returncode}: {said.strip()[-300:]}")
        result = bench.run(scene.command() + chance.choice([[], ["--memory", "1GiB"]]))
        if result.returncode == 64 and "was begun with blocks" in result.stderr:
            result = bench.run(scene.command() + ["--memory", "1GiB"])
        if result.returncode:
            failures.append(f"{what}: going on failed with {result.returncode}: {result.stderr.strip()[-300:]}")
        elif scene.outcome()["nll.npy"] != scene.wanted["nll.npy"] or scene.pages() != scene.wanted_pages():
            failures.append(f"{what}: states or nll differ")
        elif bench.run(["verify", "--store", scene.store]).returncode:
            failures.append(f"{what}: verify finds damage")
    return f"{stopped} processes stopped in {count} runs"


def faults(bench, scene, every, failures, classes=("space", "short", "write", "sync", "name", "read", "lmdb")):
    """Every n-th call of a class fails, once, and from then on."""
    tried, survived, messages = 0, 0, set()
    for name in classes:
        scene.fresh()
        counter = f"{bench.folder}/count"
        bench.run(scene.command(), calls=name, at=0, under=scene.folder, count=counter)
        total = int(open(counter).read())
        step = 1 if every == 0 else max(1, total // every)
        for number in range(1, total + 1, step):
            for onward in (0, 1):
                scene.fresh()
                what = f"{name} {number} of {total}{' and on' if onward else ''} ({scene.name})"
                result = bench.run(scene.command(), calls=name, at=number, onward=onward, under=scene.folder)
                tried += 1
                if result.returncode == 0:
                    survived += 1
                    if scene.outcome()["nll.npy"] != scene.wanted["nll.npy"]:
                        failures.append(f"{what}: it ended well with another nll")
                elif result.returncode not in KNOWN or "bbp-stream: " not in result.stderr:
                    failures.append(f"{what}: status {result.returncode}: {result.stderr.strip()[-300:]}")
                else:
                    if name == "space" and "full" not in result.stderr:
                        failures.append(f"{what}: the disk is not called full: {result.stderr.strip()[-300:]}")
                    messages.add(re.sub(r"\d+", "N", result.stderr.split("bbp-stream: ")[-1].split("\n")[0].replace(scene.folder, "")))
                scene.check(what, failures)
    return f"{tried} failing calls, {survived} of them harmless, {len(messages)} different messages", messages


def power(bench, scene, every, seed, failures):
    """The process ends before the n-th write or sync, and of what was not synced any part is gone."""
    scene.fresh()
    counter = f"{bench.folder}/count"
    bench.run(scene.command(), calls="power", at=0, under=scene.folder, count=counter)
    total = int(open(counter).read())
    step = 1 if every == 0 else max(1, total // every)
    tried = same = begun_anew = 0
    for number in range(1, total + 1, step):
        for chance in range(2):
            scene.fresh()
            result = bench.run(scene.command(), calls="power", at=number, under=scene.folder, seed=seed + chance * 7919 + number)
            what = f"power cut before write {number} of {total} (seed {seed}, {scene.name})"
            if result.returncode != -signal.SIGKILL:
                failures.append(f"{what}: status {result.returncode}")
            tried += 1
            again = bench.run(scene.command())
            if again.returncode == 65:
                # It says that what it finds is damaged: allowed, if a new beginning works.
                begun_anew += 1
                again = bench.run(scene.command() + ["--restart"])
            if again.returncode:
                failures.append(f"{what}: going on failed with {again.returncode}: {again.stderr.strip()[-300:]}")
            else:
                same += scene.check(what, failures)
    return f"{tried} power cuts; {tried - begun_anew} went on, {begun_anew} said what is damaged; {same} stores the same byte for byte{page_by_page(tried - same)}"


def cuts(bench, made, count, seed, failures):
    """The file of the generation under way is cut short, or its last pages are zeroed, after a kill."""
    chance = random.Random(seed + 1)
    went_on = refused = 0
    for number in range(count):
        scene = made[number % len(made)]
        for _ in range(20):
            scene.fresh()
            process = subprocess.Popen([bench.program, *scene.command()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep((0.2 + 0.8 * chance.random()) * scene.seconds)
            process.send_signal(signal.SIGKILL)
            process.wait()
            files = sorted(glob.glob(f"{scene.store}/generation-[1-9]*/data.mdb"), key=os.path.getmtime)
            if files and os.path.getsize(files[-1]) > 8192:
                break
        else:
            continue
        size = os.path.getsize(files[-1])
        place = chance.randrange(size) if chance.random() < 0.5 else max(0, size - chance.randrange(1 << 18))
        if chance.random() < 0.5:
            os.truncate(files[-1], place)
            what = f"cut {number} (seed {seed}, {scene.name}): {files[-1]} to {place} of {size} bytes"
        else:
            with open(files[-1], "r+b") as file:
                file.seek(place)
                file.write(bytes(min(4096 * chance.randrange(1, 64), size - place)))
            what = f"cut {number} (seed {seed}, {scene.name}): zeros from {place} of {size} bytes in {files[-1]}"
        result = bench.run(scene.command())
        if result.returncode == 0:
            went_on += 1
            # A page below what was committed may be damaged and unread since: verify must find it, nothing may be wrong unseen.
            if bench.run(["verify", "--store", scene.store]).returncode == 0:
                scene.check(what, failures)
        elif result.returncode in (65, 74) and "bbp-stream: " in result.stderr:
            refused += 1
            again = bench.run(scene.command() + ["--restart"])
            if again.returncode:
                failures.append(f"{what}: --restart failed with {again.returncode}: {again.stderr.strip()[-300:]}")
            else:
                scene.check(what, failures)
        else:
            failures.append(f"{what}: status {result.returncode}: {result.stderr.strip()[-300:]}")
    return f"{count} files cut short or holed: {went_on} runs went on, {refused} said what is damaged"


def budgets(bench, scene, count, failures):
    """Anonymous memory, watched from outside, against budgets from the least that works to plenty."""
    scene.fresh()
    refused = bench.run([*scene.command(), "--memory", "1MiB"])
    least = int(re.search(r"least that works here is (\d+)MiB", refused.stderr).group(1))
    worst = (0.0, "")
    samples = 0
    for memory in [least] + [least + 2 ** (1 + 9 * number // max(1, count - 1)) for number in range(count)]:
        scene.fresh()
        process = subprocess.Popen([bench.program, *scene.command(), "--memory", f"{memory}MiB"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            try:
                status = open(f"/proc/{process.pid}/status").read()
            except OSError:
                break
            found = re.search(r"RssAnon:\s+(\d+)", status)
            if found:
                samples += 1
                worst = max(worst, (int(found.group(1)) / 1024 / memory, f"{int(found.group(1)) / 1024:.1f} of {memory} MiB"))
            time.sleep(0.005)
        if process.wait():
            failures.append(f"budget {memory} MiB ({scene.name}): status {process.returncode}")
        elif scene.outcome()["nll.npy"] != scene.wanted["nll.npy"]:
            failures.append(f"budget {memory} MiB ({scene.name}): another nll")
    if worst[0] > 1:
        failures.append(f"budget ({scene.name}): {worst[1]}")
    return f"{samples} samples of anonymous memory, the highest {worst[1]}"


def disks(bench, scene, count, failures):
    """A tmpfs that is too small, at many sizes, and then large enough."""
    unshare = ["unshare", "-rm", "sh", "-c"]
    if subprocess.run(unshare + ["mount -t tmpfs tmpfs /mnt"], capture_output=True).returncode:
        return "skipped: no private mounts here"
    scene.fresh()
    needed = sum(os.path.getsize(os.path.join(f, n)) for f, _, names in os.walk(scene.store) for n in names)
    scene.bench.must(*scene.command())
    most = 3 * sum(os.path.getsize(path) for path in glob.glob(f"{scene.store}/generation-*/data.mdb")) + 65536
    full = 0
    for number in range(count):
        size = needed + 40960 + (most - needed) * number // count
        scene.fresh()
        command = " ".join(f"'{word}'" for word in [bench.program, *scene.command()])
        # The store moves onto the small disk and back, so that everything else finds it where it was.
        script = f"""
            mkdir -p {scene.folder}/disk && mount -t tmpfs -o size={size // 4096 * 4096} tmpfs {scene.folder}/disk || exit 99
            cp -r {scene.store} {scene.folder}/disk/store || exit 98
            mount --bind {scene.folder}/disk/store {scene.store} || exit 99
            {command} 2> {scene.folder}/said; status=$?
            mount -o remount,size=1g {scene.folder}/disk
            if [ $status != 0 ]; then {command} 2>> {scene.folder}/again || exit 97; fi
            umount {scene.store}; rm -r {scene.store}; cp -r {scene.folder}/disk/store {scene.store}; exit $status"""
        result = subprocess.run(unshare + [script], capture_output=True, text=True)
        said = open(f"{scene.folder}/said").read()
        what = f"a disk of {size} bytes ({scene.name})"
        if result.returncode == 74:
            full += 1
            if "disk is full" not in said:
                failures.append(f"{what}: not called full: {said[-300:]}")
        elif result.returncode:
            failures.append(f"{what}: status {result.returncode}: {said[-300:]} {result.stderr[-300:]}")
        scene.check(what, failures)
    return f"{count} sizes of disk, {full} of them too small"
