namespace Gradus.Persistence;

/// <summary>Which part of a list is asked for.</summary>
/// <param name="Limit">How many at most. A page is read with one row more, by which the caller sees that there is more.</param>
/// <param name="After">Where the page before ended; null for the first.</param>
public readonly record struct PageRequest(int Limit, string? After);

/// <summary>The place a page should begin after is not known (any more).</summary>
public sealed class UnknownCursorException(string cursor)
    : Exception($"There is nothing '{cursor}' to go on after: send the last_id of the page before, or begin without it.");
