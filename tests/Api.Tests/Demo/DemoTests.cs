using Gradus.Api.Demo;
using Xunit;

namespace Gradus.Api.Tests.Demo;

public sealed class DemoTests
{
    [Fact]
    public async Task A_first_demo_posts_the_recipe_follows_each_stage_and_shows_what_was_learned()
    {
        using var service = new ScriptedService();
        var (status, shown) = await ShowAsync(service, again: false);

        Assert.Equal(0, status);
        Assert.Contains("""POST /v1/runs {"recipe":"r1-zero-tiny","name":"demo"}""", service.Requests);
        Assert.Contains("r1-zero running · step 1/3 · reward 0.250 · pass rate 0.50 · length 40.0", shown, StringComparison.Ordinal);
        Assert.Contains("base succeeded · step 2/2", shown, StringComparison.Ordinal);
        Assert.Matches(@"right \(pass@1\) +0\.125 +0\.875", shown);
        Assert.Matches(@"untrained 0 +\| trained 0", shown);
        Assert.Matches(@"untrained 32 +\| trained 32", shown);
        Assert.Contains("""-d '{"model":"r1-zero-tiny","messages":[{"role":"user","content":"What is 47 + 8?"}]}'""", shown, StringComparison.Ordinal);
        Assert.Contains("reasoning: 47 + 8 = 55", shown, StringComparison.Ordinal);
        Assert.Contains("curl -s http://localhost:5080/v1/jobs/job_r1-zero\n", shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_demo_that_succeeded_before_is_shown_and_not_trained_again()
    {
        using var service = new ScriptedService();
        service.Finish();
        var (status, shown) = await ShowAsync(service, again: false);

        Assert.Equal(0, status);
        Assert.DoesNotContain(service.Requests, request => request.StartsWith("POST /v1/runs", StringComparison.Ordinal));
        Assert.Matches(@"right \(pass@1\) +0\.125 +0\.875", shown);
    }

    [Fact]
    public async Task A_stage_that_fails_ends_the_demo_with_its_reason()
    {
        using var service = new ScriptedService { Fails = "r1-zero" };
        var (status, shown) = await ShowAsync(service, again: true);

        Assert.Equal(1, status);
        Assert.Contains("The stage r1-zero ended as failed: out of memory (http://localhost:5080/v1/jobs/job_r1-zero/events)", shown, StringComparison.Ordinal);
    }

    [Fact]
    public void Columns_count_a_Han_character_as_two_cells_and_break_between_words()
    {
        Assert.Equal(["What is", "47 + 8?"], Columns.Wrap("What is 47 + 8?", 8));
        Assert.Equal(["请问 47", "等于多少"], Columns.Wrap("请问 47 等于多少", 8));
        Assert.Equal(["等等     | a", "         | b"], Columns.SideBySide("等等", "a\nb", 8));
    }

    private static async Task<(int Status, string Shown)> ShowAsync(ScriptedService service, bool again)
    {
        const string url = "http://localhost:5080";
        using var client = new GradusClient(url, null, service);
        var output = new StringWriter { NewLine = "\n" };
        var status = await DemoCommand.ShowAsync(client, url, keyed: false, again, output, terminal: false, _ => Task.CompletedTask, TestContext.Current.CancellationToken);
        return (status, output.ToString());
    }
}
