"""The test suites of layers above drivers (Django's, SQLAlchemy's ...), as driver_suites.py has those of drivers."""
import json
import os

from driver_suites import HERE, PASSWORD, PYTHON, SCHEMA, SECOND, pytest, run, source_copy
import unittest_verdicts
from servers import LOOPBACK

# Django's folders of tests that ask a database; the others' subject is templates, forms, HTTP, files.
DJANGO = """aggregation aggregation_regress annotations backends basic bulk_create cache constraints contenttypes_tests custom_columns custom_lookups
custom_managers custom_methods custom_migration_operations custom_pk datatypes dates datetimes db_functions db_typecasts db_utils defer defer_regress
delete delete_regress distinct_on_fields empty expressions expressions_case expressions_window extra_regress field_defaults field_subclassing
filtered_relation fixtures fixtures_model_package fixtures_regress force_insert_update foreign_object from_db_value generic_relations
generic_relations_regress get_earliest_or_latest get_object_or_404 get_or_create indexes inspectdb introspection known_related_objects lookup
m2m_and_m2o m2m_intermediary m2m_multiple m2m_recursive m2m_regress m2m_signals m2m_through m2m_through_regress m2o_recursive managers_regress
many_to_many many_to_one many_to_one_null max_lengths migrate_signals migration_test_data_persistence migrations migrations2 model_fields
model_inheritance model_inheritance_regress model_regress multiple_database mutually_referential nested_foreign_keys null_fk null_fk_ordering
null_queries one_to_one or_lookups order_with_respect_to ordering pagination prefetch_related properties proxy_models queries queryset_pickle
raw_query reserved_names reverse_lookup save_delete_hooks schema select_for_update select_related select_related_onetoone select_related_regress
serializers sessions_tests signals string_lookup swappable_models test_runner timezones transaction_hooks transactions unmanaged_models update
update_only_fields""".split()

SQLALCHEMY = ["test/dialect/mysql", "test/dialect/test_suite.py", "test/engine", "test/sql", "test/orm"]

DJANGO_SETTINGS = """
import django.test.runner
import unittest_verdicts

class Runner(django.test.runner.DiscoverRunner):
    def get_resultclass(self):
        return unittest_verdicts.Result

def database(name):
    return {"ENGINE": "django.db.backends.mysql", "NAME": name, "USER": "root", "PASSWORD": %r, "HOST": %r, "PORT": %d,
            "TEST": {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"}}

DATABASES = {"default": database(%r), "other": database(%r)}
SECRET_KEY = "suite"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "here.Runner"
"""


class Django:
    """Django's, of its source (tests/), with the Django beside them and the installed python3-mysqldb."""

    def __init__(self, base, args):
        self.source = source_copy(base, args, "tests/runtests.py", "Django")
        self.tests = args.tests or DJANGO

    def run(self, port, log):
        tests = os.path.join(self.source, "tests")
        with open(os.path.join(tests, "here.py"), "w") as f:
            f.write(DJANGO_SETTINGS % (PASSWORD, LOOPBACK, port, SCHEMA, SECOND))
        env = dict(os.environ, PYTHONPATH=os.pathsep.join((self.source, HERE)), VERDICTS=log + ".verdicts")
        run([PYTHON, "runtests.py", "--settings=here", "--noinput", "--parallel=1", *self.tests], log, cwd=tests, env=env)
        return unittest_verdicts.read(log + ".verdicts")


class Peewee:
    """peewee's, of its source (tests/), with the peewee beside them and the installed python3-pymysql."""

    schemas = ("peewee_test",)

    def __init__(self, base, args):
        self.source = source_copy(base, args, "playhouse/mysql_ext.py", "peewee")

    def run(self, port, log):
        env = dict(os.environ, PEEWEE_TEST_BACKEND="mysql", PEEWEE_MYSQL_HOST=LOOPBACK, PEEWEE_MYSQL_PORT=str(port), PEEWEE_MYSQL_USER="root",
                   PEEWEE_MYSQL_PASSWORD=PASSWORD, VERDICTS=log + ".verdicts")
        run([PYTHON, os.path.join(HERE, "unittest_verdicts.py"), "tests"], log, cwd=self.source, env=env)
        return unittest_verdicts.read(log + ".verdicts")


class SqlAlchemy:
    """SQLAlchemy's, of its source (test/): those of its MySQL dialect and those meant for every database, with python3-pymysql."""

    schemas = ("test_schema", "test_schema_2")

    def __init__(self, base, args):
        self.source = source_copy(base, args, "test/dialect/mysql/test_dialect.py", "SQLAlchemy")
        self.tests = args.tests or SQLALCHEMY

    def run(self, port, log):
        uri = "mysql+pymysql://root:%s@%s:%d/%s?charset=utf8mb4" % (PASSWORD, LOOPBACK, port, SCHEMA)
        path = os.pathsep.join((os.path.join(self.source, "lib"), os.environ.get("PYTHONPATH", "")))
        return pytest(self.source, self.tests, log, dict(os.environ, PYTHONPATH=path),
                      ("-v", "--dburi=" + uri, "--backend-only", "--maxfail=1000000"))


class ActiveRecord:
    """ActiveRecord's, of Rails' source (activerecord/test), with the Rails beside them and the installed ruby-mysql2, ruby-minitest, ruby-mocha."""

    schemas = ("activerecord_unittest", "activerecord_unittest2")
    prepared = False
    FILES = """
Dir["test/cases/**/*_test.rb"].sort.reject { |f| f.include?("/arel/") || f.include?("/adapters/") && !f.include?("/adapters/mysql2/") }.each do |f|
  require "./" + f
rescue LoadError => e
  puts "left out: #{f}: #{e.message}"
end
"""

    def __init__(self, base, args):
        self.source = source_copy(base, args, "activerecord/test/config.rb", "Rails")

    def run(self, port, log):
        here = os.path.join(self.source, "activerecord")
        login = {"username": "root", "password": PASSWORD, "host": LOOPBACK, "port": port, "encoding": "utf8mb4", "prepared_statements": self.prepared}
        both = {"arunit": dict(login, collation="utf8mb4_unicode_ci"), "arunit2": dict(login, collation="utf8mb4_general_ci")}
        with open(os.path.join(here, "test/config.yml"), "w") as f:
            json.dump({"default_connection": "mysql2", "connections": {"mysql2": both}}, f)  # JSON is YAML
        run(["ruby", "-W0", "-Ilib", "-Itest", "-I../activesupport/lib", "-I../activemodel/lib", "-r", os.path.join(HERE, "minitest_verdicts.rb"),
             "-e", self.FILES, "--", "--seed", "1"], log, cwd=here, env=dict(os.environ, VERDICTS=log + ".verdicts"))
        return unittest_verdicts.read(log + ".verdicts")


class ActiveRecordPrepared(ActiveRecord):
    prepared = True


SUITES = {"activerecord": ActiveRecord, "activerecord-prepared": ActiveRecordPrepared,
          "django": Django, "peewee": Peewee, "sqlalchemy": SqlAlchemy}
