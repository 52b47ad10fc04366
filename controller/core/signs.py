"""What a request says of itself to those who watch over it: how it fares, since when, and what it usually takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from controller.core import reasons, slots, times
from controller.core.errors import Invalid
from controller.core.inputs import request as requests
from controller.core.model import Object, PastRun, Record
from controller.core.plan.settle import NOTHING


@dataclass(frozen=True, slots=True)
class Signs:
    """One request's. Times are seconds since 1970, durations seconds; None: there is nothing to show."""

    failure: str = ""  # the reason that the last run failed for; also while the next one is active
    last_success: float | None = None
    run_started: float | None = None
    pending_since: float | None = None
    last_duration: float | None = None
    usual_duration: float | None = None
    last_slot: float | None = None  # 0 where none has come yet
    schedule: tuple[str, str] | None = None  # with its time zone; None: no slot will come
    next_slot: float | None = None
    numbers: tuple[tuple[str, str, float], ...] = ()  # by stage and name


def of_request(config_map: Object, record: Record) -> Signs:
    """Return the signs of a request."""
    ran = [past for past in record.history if past.run and _lasted(past) is not None]
    good = [past for past in ran if past.outcome == "Succeeded"]
    lasted = [length for past in good if (length := _lasted(past)) is not None]
    schedule = _schedule(config_map)
    return Signs(
        failure=_failure(record),
        last_success=_stamp(good[0].finished) if good else None,
        run_started=_stamp(record.started) if record.active else None,
        pending_since=_stamp(record.pending_since),
        last_duration=_lasted(ran[0]) if ran else None,
        usual_duration=median(lasted) if lasted else None,
        last_slot=_last_slot(config_map, record) if schedule else None,
        schedule=schedule,
        numbers=tuple(_numbers(record)),
    )


def _numbers(record: Record) -> Iterator[tuple[str, str, float]]:
    """Yield the numbers of the recorded run, and of stages that have none yet, those of the last good one."""
    for stage, item in record.stages.items():
        for name, value in (item.metrics or record.release_numbers.get(stage, {})).items():
            yield stage, name, value


def _failure(record: Record) -> str:
    if not record.active:
        return (
            reasons.closed(record.reason, reasons.OF_RUNS) if record.phase in ("Failed", "Invalid", "Blocked") else ""
        )
    last = next((past for past in record.history if past.outcome not in NOTHING), PastRun())
    return reasons.closed(last.reason, reasons.OF_RUNS) if last.outcome in ("Failed", "Invalid") else ""


def _schedule(config_map: Object) -> tuple[str, str] | None:
    try:
        request = requests.read(config_map)
    except Invalid:
        return None
    return (request.schedule, request.time_zone) if request.schedule and not request.suspend else None


def _last_slot(config_map: Object, record: Record) -> float:
    """Return the newest slot whose trigger has come."""
    name, asked = config_map["metadata"]["name"], requests.identity(config_map).trigger
    triggers = (asked, record.spec.trigger if record.spec else "", record.queued, *record.handled)
    return max((60.0 * minutes for trigger in triggers if (minutes := slots.of_trigger(name, trigger))), default=0.0)


def _lasted(past: PastRun) -> float | None:
    return times.seconds(past.started, past.finished)


def _stamp(written: str) -> float | None:
    return moment.timestamp() if (moment := times.moment(written)) else None
