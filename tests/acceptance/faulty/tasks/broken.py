from tasker import Task


class Broken(Task)
    def run(self, text: str) -> bool:
        return True
