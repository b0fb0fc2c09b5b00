using System.Text.Json;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Stages;

public sealed class RowOrderTests
{
    [Fact]
    public void An_epoch_holds_each_row_as_often_as_its_weight_says()
    {
        var order = new RowOrder([(Rows("a", 10), 2), (Rows("b", 10), 0.5)], 1);
        Assert.Equal(25, order.EpochSize);
        var first = Enumerable.Range(1, 5).SelectMany(step => order.Batch(step, 5)).Select(r => r.GetString()!).ToArray();
        Assert.All(first.Where(r => r[0] == 'a').GroupBy(r => r), g => Assert.Equal(2, g.Count()));
        Assert.Equal(5, first.Where(r => r[0] == 'b').Distinct().Count());
        var second = Enumerable.Range(6, 5).SelectMany(step => order.Batch(step, 5)).Select(r => r.GetString()!).ToArray();
        Assert.NotEqual(first, second);
        Assert.NotEqual(first.Where(r => r[0] == 'b').Order(), second.Where(r => r[0] == 'b').Order());
    }

    [Fact]
    public void A_step_s_rows_follow_from_its_number_alone()
    {
        IReadOnlyList<(IReadOnlyList<JsonElement>, double)> parts = [(Rows("a", 10), 1)];
        var (one, other) = (new RowOrder(parts, 1), new RowOrder(parts, 1));
        one.Batch(1, 4);
        one.Batch(9, 4);
        Assert.Equal(other.Batch(3, 4).Select(r => r.GetString()), one.Batch(3, 4).Select(r => r.GetString()));
        Assert.NotEqual(new RowOrder(parts, 2).Batch(1, 10).Select(r => r.GetString()), one.Batch(1, 10).Select(r => r.GetString()));
    }

    private static JsonElement[] Rows(string name, int count) => [.. Enumerable.Range(0, count).Select(i => JsonSerializer.SerializeToElement($"{name}{i}"))];
}
