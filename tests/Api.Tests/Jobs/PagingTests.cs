using System.Text.Json;
using Parquet;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

/// <summary>Lists hold still while rows come, and come in the order that was asked for.</summary>
public sealed class PagingTests(ApiHost host)
{
    [Fact]
    public async Task PagesOfJobsHoldStillWhileNewOnesCome()
    {
        List<string> made = [];
        for (var i = 0; i < 5; i++) made.Insert(0, await host.JobAsync());
        List<string> seen = [];
        string? after = null;
        for (var more = true; more;)
        {
            var page = await host.Client.GetOkAsync($"/v1/jobs?limit=2&stage=sft&status=queued{(after is null ? "" : $"&after={after}")}");
            Assert.Equal("list", page.Text("object"));
            seen.AddRange(page.Data().Select(job => job.Text("id")).Where(made.Contains));
            Assert.Equal((page.Data()[0].Text("id"), page.Data()[^1].Text("id")), (page.Text("first_id"), page.Text("last_id")));
            (after, more) = (page.Text("last_id"), page.GetProperty("has_more").GetBoolean());
            await host.JobAsync();
            if (seen.Count >= made.Count) break;
        }
        Assert.Equal(made, seen);
    }

    [Fact]
    public async Task TheJobsOfARunAreListedLastStageFirst()
    {
        var run = await host.Client.PostOkAsync("/v1/runs", """{"recipe":"r1-zero-tiny"}""");
        var ids = run.GetProperty("jobs").EnumerateArray().Select(job => job.Text("id")).Reverse().ToArray();
        var first = await host.Client.GetOkAsync($"/v1/jobs?run_id={run.Text("id")}&limit=3");
        var second = await host.Client.GetOkAsync($"/v1/jobs?run_id={run.Text("id")}&limit=3&after={first.Text("last_id")}");
        Assert.Equal(ids, first.Data().Concat(second.Data()).Select(job => job.Text("id")));
        Assert.Equal((true, false), (first.GetProperty("has_more").GetBoolean(), second.GetProperty("has_more").GetBoolean()));
        Assert.Equal(run.Text("id"), (await host.Client.GetOkAsync("/v1/runs?limit=1")).Data()[0].Text("id"));
        Assert.Equal(run.Text("id"), (await host.Client.GetOkAsync("/v1/runs/latest")).Text("id"));
    }

    [Fact]
    public async Task MetricsComeStepByStep()
    {
        var job = await host.JobAsync("running");
        for (var step = 1; step <= 5; step++) await host.StepAsync(job, step, ("reward", step / 10.0), ("kl", step), ("loss", double.NaN));
        var page = await host.Client.GetOkAsync($"/v1/jobs/{job}/metrics?names=reward,kl&after_step=2&limit=2");
        Assert.Equal([(3, "kl", 3.0), (3, "reward", 0.3), (4, "kl", 4.0), (4, "reward", 0.4)], page.Data().Select(Read));
        Assert.Equal(("3", "4", true), (page.Text("first_id"), page.Text("last_id"), page.GetProperty("has_more").GetBoolean()));
        var rest = await host.Client.GetOkAsync($"/v1/jobs/{job}/metrics?names=reward&after_step=4");
        Assert.Equal([(5, "reward", 0.5)], rest.Data().Select(Read));
        Assert.False(rest.GetProperty("has_more").GetBoolean());
        Assert.Equal(JsonValueKind.Null, (await host.Client.GetOkAsync($"/v1/jobs/{job}/metrics?names=loss&limit=1")).Data()[0].GetProperty("value").ValueKind);

        static (int, string, double) Read(JsonElement entry) => (entry.GetProperty("step").GetInt32(), entry.Text("name"), entry.GetProperty("value").GetDouble());
    }

    [Fact]
    public async Task ARunsMetricsGoOnAcrossItsJobs()
    {
        var run = await host.Client.PostOkAsync("/v1/runs", """{"recipe":"r1-zero-tiny"}""");
        var jobs = run.GetProperty("jobs").EnumerateArray().Select(job => job.Text("id")).ToArray();
        await host.StepAsync(jobs[0], 1, ("loss", 1));
        await host.StepAsync(jobs[0], 2, ("loss", 2));
        await host.StepAsync(jobs[2], 1, ("loss", 3));
        var first = await host.Client.GetOkAsync($"/v1/runs/{run.Text("id")}/metrics?limit=2");
        var second = await host.Client.GetOkAsync($"/v1/runs/{run.Text("id")}/metrics?limit=2&after={first.Text("last_id")}");
        Assert.Equal([(jobs[0], 1.0), (jobs[0], 2.0), (jobs[2], 3.0)], first.Data().Concat(second.Data()).Select(entry => (entry.Text("job_id"), entry.GetProperty("value").GetDouble())));
        Assert.False(second.GetProperty("has_more").GetBoolean());
        await host.Client.GetErrorAsync($"/v1/runs/{run.Text("id")}/metrics?after=3", 400);
    }

    [Theory]
    [InlineData("", "2:0 2:1 2:2 1:0 1:1 1:2")]
    [InlineData("order=index", "2:0 1:0 2:1 1:1 2:2 1:2")]
    [InlineData("order=reward", "2:2 1:2 2:1 1:1 2:0 1:0")]
    [InlineData("order=advantage&step=1", "1:0 1:1 1:2")]
    [InlineData("step=1&order=reward", "1:2 1:1 1:0")]
    public async Task SamplesComeInTheOrderAskedForPageByPage(string query, string expected)
    {
        var job = await host.JobAsync("running");
        for (var step = 1; step <= 2; step++)
            for (var index = 0; index < 3; index++)
            {
                // The first has no reward, and the advantages are the other way round; steps tie.
                await host.Database.Sql("""
                    insert into samples (job_id, step, index, prompt, completion, token_count, reward, advantage, finish_reason, policy_version)
                    values ($1, $2, $3, 'p', 'c', 4, nullif($4, -1), $5, 'stop', 7)
                    """, job, step, index, index == 0 ? -1.0 : index * 0.1, -index * 0.3);
                await host.Database.Sql("insert into rewards values ($1, $2, $3, 'accuracy', 1), ($1, $2, $3, 'language', null)", job, step, index);
            }
        List<string> seen = [];
        string? after = null;
        do
        {
            var page = await host.Client.GetOkAsync($"/v1/jobs/{job}/samples?limit=1&{(after is null ? query : $"after={after}")}");
            var sample = page.Data().Single();
            seen.Add($"{sample.GetProperty("step")}:{sample.GetProperty("index")}");
            Assert.Equal("""{"accuracy":1,"language":null}""", sample.GetProperty("rewards").GetRawText());
            after = page.GetProperty("has_more").GetBoolean() ? page.Text("last_id") : null;
        }
        while (after is not null);
        Assert.Equal(expected, string.Join(' ', seen));
    }

    [Theory, InlineData("order=group&step=2"), InlineData("order=group")]
    public async Task TheBestAndTheWorstOfEachGroupComeFirst(string query)
    {
        var job = await host.JobAsync("running");
        // Three groups of four rollouts, the first two of one prompt; in the second one is unscored and two tie.
        await SamplesAsync(job, 1, ("p", 1), ("p", 0));
        await SamplesAsync(job, 2, ("p", 0.2), ("p", 0.9), ("p", 0.1), ("p", 0.5), ("p", null), ("p", 1), ("p", 0), ("p", 1), ("q", 0), ("q", 0), ("q", 2), ("q", 0));
        await host.Database.Sql("update samples set group_index = index / 4 where job_id = $1", job);
        List<int> seen = [];
        string? after = null;
        do
        {
            var page = await host.Client.GetOkAsync($"/v1/jobs/{job}/samples?limit=3&{(after is null ? query : $"after={after}")}");
            Assert.All(page.Data(), sample => Assert.Equal(2, sample.GetProperty("step").GetInt32()));
            Assert.All(page.Data(), sample => Assert.Equal(sample.GetProperty("index").GetInt32() / 4, sample.GetProperty("group").GetInt32()));
            Assert.All(page.Data(), sample => Assert.Equal(sample.GetProperty("reward").GetRawText(), sample.GetProperty("rewards").GetProperty("accuracy").GetRawText()));
            seen.AddRange(page.Data().Select(sample => sample.GetProperty("index").GetInt32()));
            after = page.GetProperty("has_more").GetBoolean() ? page.Text("last_id") : null;
        }
        while (after is not null);
        Assert.Equal([1, 2, 5, 6, 10, 11, 3, 0, 7, 4, 8, 9], seen);
    }

    [Fact]
    public async Task ASampleTableComesWholeAsLinesFromAJobAndFromARun()
    {
        var job = await host.JobAsync("running");
        // More than one page of the database.
        await SamplesAsync(job, 2, [.. Enumerable.Range(0, 300).Select(i => ("p\n\u5B57", (double?)i))]);
        await SamplesAsync(job, 1, ("p", null));
        var run = (await host.Client.GetOkAsync($"/v1/jobs/{job}")).Text("run_id");
        using var response = await host.Client.GetAsync($"/v1/jobs/{job}/samples.jsonl", Requests.Cancel);
        Assert.Equal(("application/jsonl", $"{job}-samples.jsonl"), (response.Content.Headers.ContentType!.MediaType, response.Content.Headers.ContentDisposition!.FileName));
        var text = await response.Content.ReadAsStringAsync(Requests.Cancel);
        var lines = text.Split('\n')[..^1].Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal([(1, 0), .. Enumerable.Range(0, 300).Select(i => (2, i))], lines.Select(line => (line.GetProperty("step").GetInt32(), line.GetProperty("index").GetInt32())));
        Assert.Equal(JsonElementText((await host.Client.GetOkAsync($"/v1/jobs/{job}/samples?step=2&order=index&limit=1")).Data()[0]), JsonElementText(lines[1]));
        Assert.Equal(text, await host.Client.GetStringAsync($"/v1/runs/{run}/samples.jsonl", Requests.Cancel));
        await host.Client.GetErrorAsync("/v1/jobs/job_x/samples.jsonl", 404);
        await host.Client.GetErrorAsync("/v1/runs/run_x/samples.jsonl", 404);

        static string JsonElementText(JsonElement element) => JsonSerializer.Serialize(element);
    }

    [Fact]
    public async Task ASampleTableComesAsParquet()
    {
        var job = await host.JobAsync("running");
        await SamplesAsync(job, 1, [.. Enumerable.Range(0, 1100).Select(i => ($"p{i}\u5B57", i == 3 ? null : (double?)i))]);
        var run = (await host.Client.GetOkAsync($"/v1/jobs/{job}")).Text("run_id");
        foreach (var path in new[] { $"/v1/jobs/{job}", $"/v1/runs/{run}" })
        {
            using var body = new MemoryStream(await host.Client.GetByteArrayAsync(path + "/samples.parquet", Requests.Cancel));
            await using var reader = await ParquetReader.CreateAsync(body, cancellationToken: Requests.Cancel);
            var fields = reader.Schema.GetDataFields();
            Assert.Equal("job_id step index group prompt completion token_count finish_reason reward advantage policy_version rewards/accuracy", string.Join(' ', fields.Select(field => field.Name)));
            Assert.Equal([1024, 76], reader.RowGroups.Select(group => group.RowCount));
            var (prompts, rewards, indices, advantages) = (new string[76], new double?[1024], new int[76], new double?[76]);
            await reader.OpenRowGroupReader(1).ReadAsync(fields[4], prompts, cancellationToken: Requests.Cancel);
            await reader.OpenRowGroupReader(1).ReadAsync<int>(fields[2], indices, cancellationToken: Requests.Cancel);
            await reader.OpenRowGroupReader(1).ReadAsync<double>(fields[9], advantages, cancellationToken: Requests.Cancel);
            await reader.OpenRowGroupReader(0).ReadAsync<double>(fields[11], rewards, cancellationToken: Requests.Cancel);
            Assert.Equal(("p1099\u5B57", 1024), (prompts[^1], indices[0]));
            Assert.Equal([2.0, null, 4.0], rewards[2..5]);
            Assert.All(advantages, Assert.Null);
        }
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(host.Service.StateFolder, "uploads"), "*.parquet"));
    }

    [Theory, InlineData("samples.jsonl"), InlineData("samples.parquet")]
    public async Task ADownloadsHeadersComeWithoutIt(string name)
    {
        var job = await host.JobAsync("running");
        await SamplesAsync(job, 1, [.. Enumerable.Range(0, 300).Select(i => ($"p{i}\u5B57", (double?)i))]);
        var run = (await host.Client.GetOkAsync($"/v1/jobs/{job}")).Text("run_id");
        foreach (var path in new[] { $"/v1/jobs/{job}/{name}", $"/v1/runs/{run}/{name}" })
        {
            using var head = await host.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, path), Requests.Cancel);
            using var whole = await host.Client.GetAsync(path, Requests.Cancel);
            Assert.Equal(System.Net.HttpStatusCode.OK, head.StatusCode);
            Assert.Equal((whole.Content.Headers.ContentType, whole.Content.Headers.ContentDisposition), (head.Content.Headers.ContentType, head.Content.Headers.ContentDisposition));
            Assert.Equal((await whole.Content.ReadAsByteArrayAsync(Requests.Cancel)).Length, head.Content.Headers.ContentLength);
            Assert.Empty(await head.Content.ReadAsByteArrayAsync(Requests.Cancel));
        }
    }

    private async Task SamplesAsync(string job, int step, params (string Prompt, double? Reward)[] samples)
    {
        foreach (var (index, (prompt, reward)) in samples.Index())
        {
            await host.Database.Sql("""
                insert into samples (job_id, step, index, prompt, completion, token_count, reward, finish_reason, policy_version) values ($1, $2, $3, $4, 'c', 4, nullif($5, -1), 'stop', 7)
                """, job, step, index, prompt, reward ?? -1);
            await host.Database.Sql("insert into rewards values ($1, $2, $3, 'accuracy', nullif($4, -1))", job, step, index, reward ?? -1);
        }
    }

    [Fact]
    public async Task ACursorOfAnotherOrderIsRefused()
    {
        var job = await host.JobAsync("running");
        await host.Database.Sql("insert into samples (job_id, step, index, prompt, completion, token_count, finish_reason, policy_version) values ($1, 1, 0, '', '', 1, 'stop', 0)", job);
        var cursor = (await host.Client.GetOkAsync($"/v1/jobs/{job}/samples?order=reward")).Text("last_id");
        Assert.Equal("after", (await host.Client.GetErrorAsync($"/v1/jobs/{job}/samples?order=index&after={cursor}", 400)).Text("param"));
        Assert.Equal("invalid_cursor", (await host.Client.GetErrorAsync($"/v1/jobs/{job}/samples?after=bm8", 400)).Text("code"));
        Assert.Equal("invalid_cursor", (await host.Client.GetErrorAsync($"/v1/jobs/{job}/samples?after=%21", 400)).Text("code"));
    }

    [Fact]
    public async Task EventsReadBothWays()
    {
        var job = await host.JobAsync("running");
        for (var i = 0; i < 3; i++) await host.Database.Sql("insert into job_events (job_id, attempt, level, message) values ($1, 1, 'info', $2)", job, $"{i}");
        var newest = await host.Client.GetOkAsync($"/v1/jobs/{job}/events?limit=2");
        var rest = await host.Client.GetOkAsync($"/v1/jobs/{job}/events?limit=2&after={newest.Text("last_id")}");
        Assert.Equal(["2", "1", "0"], newest.Data().Concat(rest.Data()).Select(entry => entry.Text("message")));
        var log = await host.Client.GetOkAsync($"/v1/jobs/{job}/events?order=asc&limit=2");
        Assert.Equal(["0", "1"], log.Data().Select(entry => entry.Text("message")));
        await host.Client.GetErrorAsync($"/v1/jobs/{job}/events?after=7", 400);
    }
}
