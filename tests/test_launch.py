"""The launcher, without a cluster: a scripted one, and submitit's local executor."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from opnorm import launch, launch_gpu, launch_job, launch_slurm, weights
from opnorm.data import prepare
from opnorm.errors import SettingsError, TrainingError
from opnorm.launch import Launch, train_seeds
from opnorm.launch_job import BusyError, Result, Runs, TrainingJob
from opnorm.launch_slurm import Slurm, clean_environment, submission_options
from opnorm.launch_watch import Interrupted, Interruptions, LeftAlone
from opnorm.settings import Method, Optimization, TrainingSettings
from opnorm.threat_model import ThreatModel


class Clock:
    """Time that passes in pauses only; `at` a time something happens."""

    def __init__(self):
        self.now, self.events = 0.0, []

    def at(self, seconds, event):
        self.events.append((seconds, event))

    def pause(self, seconds):
        self.now += seconds
        assert self.now < 5000, "waits forever"
        for event in [event for event in self.events if event[0] <= self.now]:
            self.events.remove(event)
            event[1]()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Scripted:
    """A cluster that says what a test wants."""

    capacity = 100

    def __init__(self, folder):
        self.folder, self.answers, self.accounting = folder, {}, {}
        self.submitted, self.cancelled, self.questions, self.silent, self.refusal = [], [], 0, False, ""
        self.busy = False

    def submit(self, jobs):
        if self.busy:
            raise BusyError("Socket timed out")
        if self.refusal:
            raise TrainingError(self.refusal)
        number = len({job.split("_")[0] for job in self.answers}) + 1
        made = [f"{number}_{index}" for index in range(len(jobs))]
        self.submitted.append([job.seed for job in jobs])
        self.answers.update(dict.fromkeys(made, "RUNNING"))
        return made

    def states(self):
        self.questions += 1
        return None if self.silent else {job: (state, "None") for job, state in self.answers.items() if state}

    def ended(self, jobs):
        return {job: self.accounting[job] for job in jobs if job in self.accounting}

    def cancel(self, jobs):
        self.cancelled += jobs

    def log(self, job):
        return self.folder / f"{job}.log"


class Scene:
    def __init__(self, folder):
        self.folder, self.clock, self.cluster = folder, Clock(), Scripted(folder)
        self.runs = self.of_seeds([0, 1])

    def of_seeds(self, seeds, **settings):
        (self.folder / "data").write_text("data")
        return Runs(
            settings={"method": {"name": "m"}, **settings},
            data_paths={"train": str(self.folder / "data")},
            seeds=seeds,
            checkpoints=str(self.folder / "checkpoints/m"),
            models=[str(self.folder / f"models/{seed}") for seed in seeds],
            histories=[str(self.folder / f"history/{seed}") for seed in seeds],
        )

    def train(self, seed):
        """What a job does that ends well."""
        result = Result(self.runs.folder(seed))
        result.folder.mkdir(parents=True, exist_ok=True)
        result.model.write_text(f"model {seed}")
        result.history.write_text(f"history {seed}")
        text = json.dumps({"fingerprint": self.runs.fingerprints()[seed]})
        (result.folder / "result.json").write_text(text)

    def checkpoint(self, seed, step):
        self.runs.folder(seed).mkdir(parents=True, exist_ok=True)
        (self.runs.folder(seed) / f"step-{step:09d}.pt").touch()

    def ends(self, job, state):
        self.cluster.answers[job] = state

    def run(self):
        Launch(self.runs, self.cluster, self.clock).run()

    def fails(self):
        with pytest.raises(TrainingError) as caught:
            self.run()
        return str(caught.value)

    @property
    def record(self):
        return self.folder / "checkpoints/m/jobs.json"


@pytest.fixture
def scene(tmp_path, monkeypatch):
    made = Scene(tmp_path)
    monkeypatch.setattr(launch.time, "monotonic", lambda: made.clock.now)
    return made


def test_what_is_trained_is_collected_and_only_the_rest_submitted(scene):
    scene.train(0)
    scene.clock.at(100, lambda: scene.train(1))
    scene.run()
    assert scene.cluster.submitted == [[1]]
    assert [(scene.folder / f"models/{seed}").read_text() for seed in (0, 1)] == ["model 0", "model 1"]
    assert [(scene.folder / f"history/{seed}").read_text() for seed in (0, 1)] == ["history 0", "history 1"]
    assert not scene.record.exists()


def test_a_result_of_other_settings_data_or_code_does_not_count(scene):
    scene.train(0)
    prints = [scene.runs.fingerprints()[0], scene.of_seeds([0], other=1).fingerprints()[0]]
    (scene.folder / "data").write_text("other data")
    prints.append(scene.runs.fingerprints()[0])
    assert len({*prints, *scene.runs.fingerprints().values()}) == 4
    assert not Result(scene.runs.folder(0)).is_there(prints[-1])


def test_questions_to_the_scheduler_become_rare(scene):
    scene.clock.at(3600, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert 3600 / 60 < scene.cluster.questions < 3600 / 60 + 40


def test_a_scheduler_and_accounting_that_never_answer_do_not_keep_results_back(scene):
    scene.cluster.silent = True
    scene.clock.at(1000, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert [(scene.folder / f"models/{seed}").read_text() for seed in (0, 1)] == ["model 0", "model 1"]


def test_a_failed_seed_is_shown_and_the_other_is_waited_for(scene, capsys):
    def fail():
        folder = scene.runs.folder(0)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps({"job": "1_0", "outcome": "failed", "error": "NaN at step 3"}))

    scene.clock.at(5, fail)
    scene.clock.at(500, lambda: scene.train(1))
    words = scene.fails()
    assert words == f"m, seed 0 (job 1_0): NaN at step 3\nIts log: {scene.folder}/1_0.log"
    assert "m, seed 1 (job 1_1): trained" in capsys.readouterr().out
    assert Result(scene.runs.folder(1)).is_there(scene.runs.fingerprints()[1])


def test_a_report_of_an_earlier_job_is_not_believed(scene):
    scene.runs.folder(0).mkdir(parents=True)
    (scene.runs.folder(0) / "report.json").write_text('{"job": "0_0", "outcome": "failed", "error": "old"}')
    scene.clock.at(50, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert [(scene.folder / f"models/{seed}").read_text() for seed in (0, 1)] == ["model 0", "model 1"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("CANCELLED", "seed 0 (job 1_0) was cancelled; its checkpoint is kept: run again to go on"),
        ("OUT_OF_MEMORY", "seed 0 (job 1_0) ran out of memory: raise mem_mb"),
        ("COMPLETED", "is that folder shared?"),
    ],
)
def test_ends_that_a_new_job_would_not_mend(state, words, scene):
    scene.clock.at(20, lambda: [scene.ends("1_0", state), scene.train(1)])
    assert words in scene.fails()
    assert scene.cluster.submitted == [[0, 1]]


@pytest.mark.parametrize("state", ["FAILED", "NODE_FAIL", "PREEMPTED", "TIMEOUT", "BOOT_FAIL"])
def test_after_other_ends_a_new_job_goes_on(state, scene):
    def end():
        scene.ends("1_0", state)
        scene.checkpoint(0, 7)

    scene.clock.at(20, end)
    scene.clock.at(100, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.submitted == [[0, 1], [0]]
    assert scene.cluster.cancelled == ["1_0"]


def test_a_job_that_is_requeued_is_left_alone(scene):
    scene.clock.at(20, lambda: scene.ends("1_0", "PREEMPTED"))
    scene.clock.at(27, lambda: scene.ends("1_0", "PENDING"))
    scene.clock.at(200, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.submitted == [[0, 1]]


def test_a_job_that_gets_no_further_is_given_up(scene):
    for number in range(1, 5):
        scene.clock.at(40 * number, lambda job=f"{number}_0": scene.ends(job, "TIMEOUT"))
    scene.clock.at(20, lambda: scene.train(1))
    assert "3 times without getting further than step 0" in scene.fails()
    assert scene.cluster.submitted == [[0, 1], [0], [0]]


def test_a_job_that_nobody_knows(scene):
    scene.cluster.accounting = {"1_1": "RUNNING"}  # what accounting says for ever of a job whose end it missed
    scene.cluster.log("1_1").write_text("it had started")
    scene.clock.at(20, lambda: [scene.ends("1_0", ""), scene.ends("1_1", "")])
    scene.clock.at(300, lambda: scene.train(1))
    assert "seed 0 (job 1_0) is gone from the queue without having started" in scene.fails()
    assert scene.cluster.submitted == [[0, 1], [1]]


@pytest.mark.parametrize("state", ["SUSPENDED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING", "STAGE_OUT", "UNKNOWN"])
def test_a_state_that_is_no_end_is_waited_for_and_shown(state, scene, capsys):
    scene.clock.at(20, lambda: scene.ends("1_0", state))
    scene.clock.at(2000, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.submitted == [[0, 1]]
    assert f"{state}: seed 0 (job 1_0)" in capsys.readouterr().out


def test_a_job_that_queue_and_accounting_do_not_know_for_a_while_is_waited_for(scene, capsys):
    scene.cluster.accounting = {"1_0": "UNKNOWN"}
    scene.clock.at(20, lambda: scene.ends("1_0", ""))
    scene.clock.at(65, lambda: scene.ends("1_0", "RUNNING"))
    scene.clock.at(500, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.submitted == [[0, 1]]
    assert "UNKNOWN: seed 0 (job 1_0)" in capsys.readouterr().out


def test_a_result_that_a_slow_file_system_shows_late_is_waited_for(scene):
    scene.clock.at(20, lambda: [scene.ends("1_0", "COMPLETED"), scene.train(1)])
    scene.clock.at(70, lambda: scene.train(0))
    scene.run()
    assert scene.cluster.submitted == [[0, 1]]


@pytest.mark.parametrize("year", [1980, 2100])
def test_a_nodes_clock_does_not_matter(year, scene):
    seconds = (year - 1970) * 365 * 24 * 3600

    def train(seed):
        scene.checkpoint(seed, 7)
        scene.train(seed)
        for path in scene.runs.folder(seed).iterdir():
            os.utime(path, (seconds, seconds))

    train(0)
    scene.clock.at(100, lambda: train(1))
    scene.run()
    assert scene.cluster.submitted == [[1]]


def test_accounting_is_believed_where_the_queue_has_forgotten(scene):
    scene.cluster.accounting = {"1_0": "CANCELLED"}
    scene.clock.at(20, lambda: [scene.ends("1_0", ""), scene.train(1)])
    assert "was cancelled" in scene.fails()
    assert scene.clock.now < 40


def test_a_launcher_that_lost_its_parent_leaves_and_the_next_one_finds_the_jobs(scene, capsys):
    def leave():
        raise LeftAlone

    scene.clock.at(50, leave)
    assert "left to themselves: seed 0 (job 1_0), seed 1 (job 1_1)" in scene.fails()
    assert scene.cluster.cancelled == []
    scene.clock.at(scene.clock.now + 50, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.submitted == [[0, 1]]
    assert "submitted earlier, waiting for seed 0 (job 1_0), seed 1 (job 1_1)" in capsys.readouterr().out


def test_a_job_that_is_being_ended_is_not_waited_for(scene):
    scene.cluster.answers = {"1_0": "COMPLETING"}
    scene.record.parent.mkdir(parents=True)
    record = {"jobs": {"0": {"job": "1_0", "fingerprint": scene.runs.fingerprints()[0]}}}
    scene.record.write_text(json.dumps(record))
    scene.clock.at(50, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.submitted == [[0, 1]]


def test_jobs_for_other_results_are_cancelled(scene):
    scene.cluster.answers = {"1_0": "RUNNING", "1_1": "COMPLETED", "1_2": "FAILED"}
    scene.clock.at(50, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.cancelled == ["1_0"]
    assert scene.cluster.submitted == [[0, 1]]


def test_an_interrupted_launcher_cancels_and_the_next_one_submits(scene):
    def interrupt():
        raise Interrupted

    scene.clock.at(50, interrupt)
    assert "m: interrupted; cancelled 1_0, 1_1. Checkpoints and finished seeds are kept" in scene.fails()
    assert scene.cluster.cancelled == ["1_0", "1_1"]
    assert not scene.record.exists()


def test_a_submission_that_ctrl_c_ended_is_no_refusal(scene):
    def interrupt():
        scene.cluster.answers["7"] = "PENDING"
        raise Interrupted

    scene.cluster.refusal = "sbatch: interrupted"
    scene.clock.at(0, interrupt)
    assert "m: interrupted; cancelled 7" in scene.fails()
    assert scene.cluster.cancelled == ["7"]


def test_a_refusal_is_told_once(scene):
    scene.cluster.refusal = "SLURM refuses the job: Invalid account"
    assert scene.fails().count("Invalid account") == 1
    assert scene.clock.now <= 1


def test_a_scheduler_that_is_busy_is_asked_again_and_what_it_took_in_silence_is_cancelled(scene):
    scene.cluster.busy = True
    scene.clock.at(5, lambda: scene.ends("1_0", "PENDING"))
    scene.clock.at(400, lambda: setattr(scene.cluster, "busy", False))
    scene.clock.at(900, lambda: [scene.train(0), scene.train(1)])
    scene.run()
    assert scene.cluster.cancelled == ["1_0"]
    assert scene.cluster.submitted == [[0, 1]]
    assert scene.cluster.questions < 60


def test_a_scheduler_that_stays_busy_is_given_up_after_ten_minutes(scene):
    scene.cluster.busy = scene.cluster.silent = True
    words = scene.fails()
    assert words == "m, seed 0, seed 1: Socket timed out"
    assert 600 <= scene.clock.now < 800


def test_an_interrupt_ends_the_waiting_for_a_busy_scheduler(scene):
    def interrupt():
        scene.cluster.answers["7"] = "PENDING"
        raise Interrupted

    scene.cluster.busy = True
    scene.clock.at(100, interrupt)
    assert "m: interrupted; cancelled 7" in scene.fails()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Batch job submission failed: Socket timed out on send/recv operation", BusyError),
        ("Batch job submission failed: Unable to contact slurm controller (connect failure)", BusyError),
        ("slurm_receive_msg [10.0.0.1:6817]: Connection refused", BusyError),
        ("Batch job submission failed: Invalid account or account/partition combination specified", TrainingError),
        ("QOSMaxSubmitJobPerUserLimit", TrainingError),
    ],
)
def test_a_scheduler_that_does_not_answer_is_told_from_one_that_refuses(words, kind, scene, tmp_path, monkeypatch):
    for name, script in {"srun": "", "sbatch": f"echo 'sbatch: error: {words}' >&2; exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(TrainingError, match="(?s)SLURM .*" + words.split("[")[0].split("(")[0]) as caught:
        Slurm(tmp_path / "jobs", "name", {}, 1).submit([TrainingJob(scene.runs, 0, "print")])
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGINT, Interrupted), (signal.SIGTERM, Interrupted), (signal.SIGHUP, LeftAlone)]
)
def test_a_signal_ends_a_pause_and_nothing_else(number, end):
    before = signal.getsignal(number)
    with Interruptions() as interruptions:
        signal.raise_signal(number)
        with pytest.raises(end):
            interruptions.pause(60)
    assert signal.getsignal(number) == before


def test_two_launchers_of_the_same_runs_take_turns(tmp_path):
    entered = []
    with launch._alone(tmp_path, Interruptions()):
        waiting = Clock()
        waiting.at(3, lambda: (_ for _ in ()).throw(Interrupted()))
        with pytest.raises(TrainingError, match="nothing was submitted"), launch._alone(tmp_path, waiting):
            entered.append(1)
    assert entered == []


def test_an_unknown_launcher_is_answered_in_words(scene):
    with pytest.raises(SettingsError, match="launcher='cloud' is unknown; known: here, local, slurm"):
        train_seeds(scene.runs, {"launcher": "cloud"})


def test_waiting_is_light():
    code = (
        "import sys, opnorm.launch, opnorm.launch_slurm, opnorm.launch_local, submitit, submitit.slurm.slurm, psutil;"
        "assert 'torch' not in sys.modules; print(psutil.Process().memory_info().rss / 2**20)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 60


def test_snakemakes_resources_become_sbatchs():
    resources = {
        "slurm_partition": "gpu",
        "slurm_account": "me",
        "runtime": 240,
        "mem_mb": 8000,
        "gpu": 2,
        "gpu_model": "a100",
        "slurm_extra": "--exclude=n1 --exclusive --reservation spring",
        "qos": "",
    }
    options = submission_options(resources, threads=3)
    assert options["additional_parameters"] == {
        "requeue": True,
        "gpus": "a100:2",
        "exclude": "n1",
        "exclusive": True,
        "reservation": "spring",
    }
    assert (options["partition"], options["account"], options["time"]) == ("gpu", "me", 240)
    assert (options["mem"], options["cpus_per_task"]) == ("8000M", 3)
    assert options["wckey"] is None
    assert "qos" not in options
    assert submission_options({"runtime": 1}, 1)["signal_delay_s"] == 15
    assert submission_options({"parallel_seeds": 7}, 1)["array_parallelism"] == 7


@pytest.mark.parametrize("text", ["-C a100", "a100", "--exclusive=user node3", "--exclusive -N 1"])
def test_what_sbatch_would_not_understand_is_refused(text):
    with pytest.raises(SettingsError, match=f"in '{text}' is no option of the form --name=value"):
        submission_options({"slurm_extra": text}, 1)


def test_what_an_enclosing_job_says_of_itself_is_forgotten(monkeypatch):
    for name in ("SLURM_CPU_BIND", "SLURM_MEM_PER_CPU", "SLURM_JOB_ID", "SLURM_CONF"):
        monkeypatch.setenv(name, "x")
    clean_environment()
    assert [name for name in os.environ if name.startswith("SLURM_")] == ["SLURM_CONF"]


def test_a_cluster_without_clients_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm = Slurm(tmp_path, "name", {}, 1)
    assert slurm.states() is None
    assert slurm.ended(["1"]) == {}
    with pytest.raises(TrainingError, match="srun"):
        slurm.submit([])


def test_accounting_that_hangs_is_no_answer(tmp_path, monkeypatch):
    sacct = tmp_path / "sacct"
    sacct.write_text("#!/bin/sh\nexec sleep 60\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(launch_slurm, "_ANSWER_SECONDS", 0.2)
    assert Slurm(tmp_path, "name", {}, 1).ended(["1"]) == {}


@pytest.mark.parametrize("answer", ["error: Unable to contact slurm controller", ""])
def test_a_failing_query_is_no_answer(answer, tmp_path, monkeypatch):
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '{answer}' >&2; exit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Slurm(tmp_path, "name", {}, 1).states() is None


def test_a_gpu_is_held_by_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(launch_gpu.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert launch_gpu.visible() == ("3", "5")
    third = []
    with launch_gpu.hold_one(("3", "5")) as first:
        with launch_gpu.hold_one(("3", "5")) as second:
            assert {first, second} == {"3", "5"}
            assert os.environ["CUDA_VISIBLE_DEVICES"] == second

            def hold():
                with launch_gpu.hold_one(("3", "5")) as gpu:
                    third.append(gpu)

            waiting = threading.Thread(target=hold)
            waiting.start()
            time.sleep(0.8)
            assert third == []
        waiting.join(5)
    assert third == [second]


@pytest.mark.parametrize("hidden", [None, "", " , "])
def test_without_a_known_gpu_one_trains_at_a_time_and_torch_sees_what_is_not_hidden(hidden, tmp_path, monkeypatch):
    monkeypatch.setattr(launch_gpu.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpus = launch_gpu.visible()
    assert gpus == ((launch_gpu.UNKNOWN,) if hidden is None else (launch_gpu.NONE,))
    # As submitit starts a job.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with launch_gpu.hold_one(gpus):
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == (None if hidden is None else "")
        waiting = threading.Thread(target=lambda: launch_gpu.hold_one((launch_gpu.NONE,)).__enter__())
        waiting.start()
        waiting.join(0.8)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


@pytest.fixture(scope="module")
def digits_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    paths = {name: str(folder / f"{name}.safetensors") for name in ("train", "test")}
    prepare("digits", "", paths)
    threat = ThreatModel(norm=2, epsilon=1.0, iterations=2)
    settings = TrainingSettings(
        "digits",
        {"name": "cnn5", "width": 2},
        Method("standard", "Standard", "standard", {}, threat),
        Optimization(epochs=1, batch_size=100, learning_rate=0.01),
    )
    seeds = (0, 1, 2)

    def runs(name, **changes):
        outputs = {key: [str(folder / name / f"{key}{seed}") for seed in seeds] for key in ("models", "histories")}
        values = {"settings": settings.to_dict(), "data_paths": paths, "seeds": seeds, "device": "cpu"}
        return Runs(**{**values, "checkpoints": str(folder / name), **outputs, **changes})

    return runs


def test_the_local_executor_gives_each_training_a_gpu_of_its_own(digits_runs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(launch_gpu.tempfile, "tempdir", None)
    here, local = digits_runs("here"), digits_runs("local")
    train_seeds(here, {})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    train_seeds(local, {"launcher": "local"})
    for one, other in zip(here.models, local.models, strict=True):
        first, second = (weights.load_model(path).state_dict() for path in (one, other))
        assert all((first[name] == second[name]).all() for name in first)
    logs = [path.read_text() for path in (local.folder("jobs")).glob("*_log.out")]
    used = {log.split("CUDA_VISIBLE_DEVICES=")[1].split()[0] for log in logs}
    assert len(logs) == 3
    assert used == {"4", "7"}


def test_the_local_executor_hides_no_gpu_that_only_torch_sees(digits_runs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(launch_gpu.tempfile, "tempdir", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    runs = digits_runs("unknown")
    train_seeds(replace(runs, seeds=[0], models=runs.models[:1], histories=runs.histories[:1]), {"launcher": "local"})
    (log,) = runs.folder("jobs").glob("*_log.out")
    assert "seed 0, CUDA_VISIBLE_DEVICES=None" in log.read_text()


def test_a_job_that_fails_says_why_and_one_that_is_asked_to_stop_does_not_count_as_failed(digits_runs, monkeypatch):
    runs = digits_runs("failing", settings={"method": {"name": "standard"}})
    job = TrainingJob(runs, 0, "print")
    monkeypatch.setattr(launch_job, "_job_id", lambda: "5_0")

    def told(action):
        monkeypatch.setattr(launch_job, "train_here", lambda runs: action())
        with pytest.raises(SystemExit) as caught:
            job()
        return caught.value.code, job.result.report("5_0")

    def refuse():
        raise TrainingError("the loss is NaN")

    assert told(refuse) == (1, {"job": "5_0", "outcome": "failed", "error": "the loss is NaN"})
    code, report = told(lambda: 1 / 0)
    assert code == 1
    assert "ZeroDivisionError" in report["error"]
    code, report = told(lambda: os.kill(os.getpid(), 15))
    assert (code, report["outcome"]) == (143, "interrupted")
    assert job.result.report("6_0") == {}
