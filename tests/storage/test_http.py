"""What servers say about waiting; the rest of HTTP is in test_remote.py."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from gsv2.storage.http import _retry_after_sec


def test_retry_after_is_a_number_or_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert 15 < _retry_after_sec(later) <= 20
    assert _retry_after_sec("7") == 7.0
    assert _retry_after_sec("-3") == 0.0
    assert _retry_after_sec("soon") is None
    assert _retry_after_sec("99999999") == 900.0
