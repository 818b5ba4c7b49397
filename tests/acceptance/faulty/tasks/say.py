from enum import Enum
from typing import Annotated

from annotated_types import Ge

from tasker import Task


class Manner(Enum):
    SHOUT = "shout"
    WHISPER = "whisper"


class Say(Task):
    def run(self, text: str, times: Annotated[int, Ge(1)] = 1, loud: bool = False, manner: Manner = Manner.SHOUT):
        self.logger.info(text)
