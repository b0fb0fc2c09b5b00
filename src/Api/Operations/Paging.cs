namespace Gradus.Api.Operations;

/// <summary>The shape of every list.</summary>
/// <param name="Object">Always <c>list</c>.</param>
/// <param name="Data">The page.</param>
/// <param name="HasMore">Whether there is something after it.</param>
/// <param name="FirstId">Where the page begins; null when it is empty.</param>
/// <param name="LastId">Where it ends: send it as <c>after</c> for the next page. It holds the order the page was asked in.</param>
internal sealed record ListContract<T>(string Object, IReadOnlyList<T> Data, bool HasMore, string? FirstId, string? LastId)
{
    /// <summary>A page out of up to <paramref name="limit"/> + 1 rows: the one more says that there is more.</summary>
    public static ListContract<T> Of<TRow>(IReadOnlyList<TRow> rows, int limit, Func<TRow, T> contract, Func<TRow, string> id)
    {
        var page = rows.Take(limit).ToList();
        return new("list", [.. page.Select(contract)], rows.Count > limit, page.Count == 0 ? null : id(page[0]), page.Count == 0 ? null : id(page[^1]));
    }
}

/// <summary>The two parameters that every list has.</summary>
internal static class Paging
{
    public static IntegerQuery Limit { get; } = new("limit", 20, 1, 100, "How many at most.");

    public static TextQuery After { get; } = new("after", 300, "The `last_id` of the page before.");
}
