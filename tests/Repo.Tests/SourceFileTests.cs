using Xunit;

namespace Gradus.Repo.Tests;

public sealed class SourceFileTests
{
    [Fact]
    public void A_source_file_has_at_most_400_lines_and_half_of_them_stay_under_100()
    {
        var lengths = Repository.Files
            .Where(file => file.StartsWith("src/", StringComparison.Ordinal) && file.EndsWith(".cs", StringComparison.Ordinal))
            .Select(file => (File: file, Lines: File.ReadLines(Path.Combine(Repository.Root, file)).Count()))
            .OrderBy(entry => entry.Lines)
            .ToList();

        Assert.NotEmpty(lengths);
        Assert.Empty(lengths.Where(entry => entry.Lines > 400).Select(entry => $"{entry.File}: {entry.Lines} lines"));
        Assert.True(lengths[lengths.Count / 2].Lines < 100, $"the median source file has {lengths[lengths.Count / 2].Lines} lines");
    }
}
