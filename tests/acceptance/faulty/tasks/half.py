from tasker import Task


class Before(Task):
    def run(self): ...


LIMIT = {}["limit"]


class After(Task):
    def run(self): ...
