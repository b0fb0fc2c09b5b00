using System.Text.RegularExpressions;
using Xunit;

namespace Gradus.Repo.Tests;

public sealed partial class PaperMapTests
{
    [Fact]
    public void Every_path_in_the_map_of_papers_exists_and_every_row_names_a_test()
    {
        var rows = Repository.Read("docs/paper-map.md").Split('\n').Where(line => line.StartsWith("| ", StringComparison.Ordinal) && line.Contains('`', StringComparison.Ordinal)).ToList();
        Assert.True(rows.Count > 10, $"only {rows.Count} rows were found");
        foreach (var row in rows)
        {
            var paths = Paths().Matches(row).Select(match => match.Groups[1].Value).ToList();
            Assert.Empty(paths.Except(Repository.Files).Select(path => $"{path} is not there: {row}"));
            Assert.True(paths.Any(path => path.StartsWith("tests/", StringComparison.Ordinal)), $"no test is named: {row}");
        }
    }

    [GeneratedRegex(@"`((?:src|tests|recipes|bench|docs)/[^`]+)`")]
    private static partial Regex Paths();
}
