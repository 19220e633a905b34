# rails_app.rb PORT SCHEMA SCENARIO,... [mended] - a small ActiveRecord application with known faults, or without them.
require "active_record"

PORT, SCHEMA, SCENARIOS = ARGV
MENDED = ARGV.include?("mended")

ActiveRecord::Base.establish_connection(adapter: "mysql2", host: "127.0.0.1", port: PORT.to_i, username: "app", password: "app",
                                        database: SCHEMA, encoding: "utf8mb4", prepared_statements: true)

class Author < ActiveRecord::Base
  self.table_name = "author"
  has_many :books
end

class Book < ActiveRecord::Base
  self.table_name = "book"
  belongs_to :author
  has_many :reviews, foreign_key: "book_ref"
end

class Review < ActiveRecord::Base
  self.table_name = "review"
  belongs_to :book, foreign_key: "book_ref"
end

class Setting < ActiveRecord::Base
  self.table_name = "setting"
end

def n_plus_one(round)
  authors = Author.where("id > ?", round * 50).order(:id).limit(30)
  authors = authors.includes(:books) if MENDED
  authors.map { |author| author.books.map(&:title) }
end

def join_without_index(round)
  Book.joins(:reviews).where(author_id: 1 + round).pluck("review.stars", "book.title")
end

def function_on_column(round)
  isbn = (9780000001 + round * 31).to_s
  MENDED ? Book.where(isbn: isbn).to_a : Book.where("LOWER(isbn) = ?", isbn).to_a
end

def implicit_conversion(round)
  number = 9780000001 + round * 37
  MENDED ? Book.where(isbn: number).to_a : Book.where("isbn = #{number}").to_a
end

def heavy_aggregate(round)
  return Review.where(id: round..round + 50).average(:words) if MENDED
  Review.group(:stars).average(:words)
end

def identical_repeat(round)
  return nil if MENDED && round > 0
  (MENDED ? 60 : 400).times.map { Setting.find_by(name: "setting 7").value }.first
end

SCENARIOS.split(",").each { |scenario| 12.times { |round| send(scenario, round) } }
