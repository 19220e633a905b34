"""django_app.py PORT SCHEMA SCENARIO,… [mended] - a small Django application with known faults, or without them."""
import sys

import django
from django.conf import settings
from django.db.models import Avg, Count
from django.db.models.functions import TruncDate

PORT, SCHEMA, SCENARIOS = sys.argv[1:4]
MENDED = "mended" in sys.argv[4:]

settings.configure(USE_TZ=False, INSTALLED_APPS=[], DEFAULT_AUTO_FIELD="django.db.models.AutoField",
                   DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "NAME": SCHEMA, "USER": "app", "PASSWORD": "app",
                                          "HOST": "127.0.0.1", "PORT": PORT, "OPTIONS": {"charset": "utf8mb4"}}})
django.setup()

from django.db import connection, models  # noqa: E402 (after the setup)


class Author(models.Model):
    name = models.CharField(max_length=60)

    class Meta:
        app_label, db_table = "shop", "author"


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE)
    title = models.CharField(max_length=80)
    isbn = models.CharField(max_length=20)
    published = models.DateTimeField()

    class Meta:
        app_label, db_table = "shop", "book"


class Review(models.Model):
    book = models.ForeignKey(Book, models.DO_NOTHING, db_column="book_ref")
    stars = models.IntegerField()
    words = models.IntegerField()

    class Meta:
        app_label, db_table = "shop", "review"


class Setting(models.Model):
    name = models.CharField(max_length=40)
    value = models.CharField(max_length=80)

    class Meta:
        app_label, db_table = "shop", "setting"


def n_plus_one(n):
    books = Book.objects.filter(published__gte="2016-01-%02d" % (n % 28 + 1)).order_by("published")[:40]
    if MENDED:
        books = books.select_related("author")
    return [book.author.name for book in books]


def join_without_index(n):
    return list(Review.objects.filter(book__author_id=1 + n % 2000).values_list("stars", "book__title"))


def function_on_column(n):
    day = "2016-%02d-%02d" % (n % 12 + 1, n % 28 + 1)
    if MENDED:
        return list(Book.objects.filter(published__range=(day + " 00:00:00", day + " 23:59:59")))
    return list(Book.objects.annotate(day=TruncDate("published")).filter(day=day))


def implicit_conversion(n):
    number = 9780000001 + n * 37 % 20000
    return list(Book.objects.extra(where=["isbn = %s"], params=[str(number) if MENDED else number]))


def heavy_aggregate(n):
    if MENDED:
        return Review.objects.filter(id__range=(n, n + 50)).aggregate(Avg("words"))
    return list(Review.objects.values("stars").annotate(n=Count("id"), mean=Avg("words")))


def identical_repeat(n):
    if MENDED and n:
        return None
    return [Setting.objects.get(name="setting 7").value for _ in range(60 if MENDED else 400)][0]


for scenario in SCENARIOS.split(","):
    for number in range(12):
        globals()[scenario](number)
connection.close()
