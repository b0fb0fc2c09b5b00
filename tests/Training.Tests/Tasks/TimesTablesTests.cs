using Gradus.Training.Tasks;
using Xunit;

namespace Gradus.Training.Tests.Tasks;

public sealed class TimesTablesTests
{
    private readonly ITask task = BuiltIn.Task("times-tables");

    [Fact]
    public void Every_pair_is_there_once_with_its_product()
    {
        var rows = task.Generate("problems", 121, 1).Select(row => (Prompt: row.GetProperty("prompt")[0], Answer: int.Parse(row.GetProperty("answer").GetString()!))).ToArray();
        var expected = Enumerable.Range(2, 11).SelectMany(a => Enumerable.Range(2, 11).Select(b => ($"What is {a} * {b}?", a * b)));
        Assert.Equal(expected.Order(), rows.Select(row => (row.Prompt.GetProperty("content").GetString()!, row.Answer)).Order());
        Assert.All(rows, row => Assert.Equal("user", row.Prompt.GetProperty("role").GetString()));
    }

    [Fact]
    public void The_order_is_the_seeds_and_a_longer_list_begins_with_the_shorter()
    {
        Assert.Equal(Texts(20, 1), Texts(121, 1).Take(20));
        Assert.NotEqual(Texts(121, 1), Texts(121, 2));
        Assert.Equal(BuiltIn.Datasets.Single(dataset => dataset.Id == "times-tables").Rows().Select(row => row.GetRawText()), Texts(121, BuiltIn.Seed));
    }

    [Theory]
    [InlineData("problems", 122, "count")]
    [InlineData("problems", 0, "count")]
    [InlineData("documents", 5, "kind")]
    public void What_there_is_not_is_refused(string kind, int count, string parameter) =>
        Assert.Equal(parameter, Assert.Throws<InvalidInputException>(() => task.Generate(kind, count, 1)).Parameter);

    private string[] Texts(int count, long seed) => [.. task.Generate("problems", count, seed).Select(row => row.GetRawText())];
}
